"""Waiting for a task's answer, and what kind of answer it is."""

from __future__ import annotations

import math
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from asyncapiproxy.client.answers import (
    any_problem,
    ended_status,
    not_a_proxy,
    problem_of_task,
    raise_problem,
    says_unfinished,
)
from asyncapiproxy.client.calls import answered, task, task_path
from asyncapiproxy.client.errors import (
    ConflictError,
    ProxyUnreachableError,
    TaskUnfinishedError,
    task_failed,
)
from asyncapiproxy.client.repeating import retry_after_seconds
from asyncapiproxy.client.steps import Pause
from asyncapiproxy.client.task_options import in_seconds

if TYPE_CHECKING:
    import httpx

    from asyncapiproxy.client.calls import Proxy
    from asyncapiproxy.client.steps import Call, Steps
    from asyncapiproxy.client.task_options import Seconds

LONG_POLL_SECONDS = 20
UNFINISHED = "task-not-finished"


def seconds_of(timeout: Seconds | None) -> float | None:
    """How long a program waits; raises CallInvalidError."""
    return None if timeout is None else in_seconds(timeout, "timeout")


def result(
    proxy: Proxy, task_id: str, *, seconds: float | None, is_streamed: bool = False
) -> Steps[httpx.Response]:
    """The answer of the task's upstream, whatever its status, once the task has finished.

    Raises TaskUnfinishedError when the time is over, TaskFailedError where there is none.
    """
    ends = math.inf if seconds is None else proxy.monotonic() + seconds
    while True:
        left = ends - proxy.monotonic()
        try:
            response = yield from _asked(proxy, task_id, left=left, is_streamed=is_streamed)
        except ProxyUnreachableError as error:
            if left < proxy.patience_seconds:
                raise TaskUnfinishedError(task_id, seconds=seconds or 0) from error
            raise
        if not says_unfinished(response):
            try:
                return _finished(response)
            except ConflictError as error:
                if error.problem.name != UNFINISHED:
                    raise
        left = ends - proxy.monotonic()
        if left <= 0:
            raise TaskUnfinishedError(task_id, seconds=seconds or 0)
        if response.status_code != HTTPStatus.SEE_OTHER:  # which has waited
            yield Pause(min(retry_after_seconds(response) or 1.0, left))


def raise_failure(proxy: Proxy, task_id: str, response: httpx.Response) -> Steps[None]:
    """Raise TaskFailedError unless the answer is that of a task that has succeeded."""
    status = ended_status(response)
    if status is None:
        status = (yield from task(proxy, task_id)).status
    if status != "succeeded":
        problem = any_problem(response)
        raise task_failed(task_id, status=status, problem=problem, response=response)


def _asked(proxy: Proxy, task_id: str, *, left: float, is_streamed: bool) -> Steps[httpx.Response]:
    """What the proxy says of the answer, within a second of what is left of the time."""
    wait = int(min(LONG_POLL_SECONDS, left)) if left >= 1 else 0
    path = task_path(task_id, "response")
    call = proxy.call("GET", f"{path}?wait={wait}" if wait else path)
    spare = min(proxy.answer_seconds, max(1.0, left - wait))
    call = replace(call, answer_seconds=wait + spare, is_streamed=is_streamed)

    def make() -> Call:
        return call

    patience = min(proxy.patience_seconds, max(0.0, left))
    return (yield from answered(proxy, make, patience_seconds=patience))


def _finished(response: httpx.Response) -> httpx.Response:
    """The upstream's answer; raises what else it tells."""
    problem = problem_of_task(response)
    if problem is not None:
        status = ended_status(response)
        assert status is not None
        raise task_failed(problem.task_id or "", status=status, problem=problem)
    if "task-id" not in response.headers:  # it is about the call itself
        raise_problem(response)
        raise not_a_proxy(response, "its answer names no task")
    return response
