"""Submitting a task, so that it is made once however often its call has to be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from asyncapiproxy.client.answers import (
    ended_status,
    not_a_proxy,
    problem_of_task,
    raise_problem,
    says_unfinished,
    task_of,
)
from asyncapiproxy.client.calls import answered, operation, operations, prefer, task
from asyncapiproxy.client.errors import BusyError, CallInvalidError, ProxyUnreachableError
from asyncapiproxy.client.request_body import RequestBody, request_body
from asyncapiproxy.client.steps import Call
from asyncapiproxy.client.task_options import in_seconds, option_headers
from asyncapiproxy.client.task_state import TaskState
from asynctasks.json_values import write_json

if TYPE_CHECKING:
    from datetime import datetime

    import httpx

    from asyncapiproxy.client.calls import Proxy
    from asyncapiproxy.client.declared_operation import DeclaredOperation
    from asyncapiproxy.client.steps import Steps
    from asyncapiproxy.client.task_options import Seconds
    from asyncapiproxy.client.task_state import Document

LONGEST_WINDOW_SECONDS = 300.0
"""The longest wait window that an operation may declare."""
_NO_SUCH_ROUTE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A task as somebody wants it."""

    operation: str
    arguments: Document
    headers: Mapping[str, str]
    """How it is to be run."""
    wait_seconds: float | None
    """How long to wait for its answer; None: for as long as the operation says."""
    key: str
    """By it a repeat joins the task that an earlier call may have made."""
    body: RequestBody | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """A task that was accepted, and its answer if that came in time."""

    state: TaskState
    key: str
    answer: httpx.Response | None = None


def submission(
    operation: str,
    arguments: Mapping[str, Any] | None,
    *,
    wait: Seconds | None,
    key: str | None,
    delay: Seconds | None,
    deadline: Seconds | datetime | None,
    priority: int | None,
    labels: Mapping[str, str] | None,
    batch: str | None,
    callback: str | None,
    body: bytes | BinaryIO | None,
    content_type: str,
) -> Submission:
    """What a program asks for, with a key that nobody else has unless it gives one.

    Raises CallInvalidError.
    """
    check_call(arguments, key)
    return Submission(
        operation=operation,
        arguments=dict(arguments or {}),
        headers=option_headers(
            delay=delay,
            deadline=deadline,
            priority=priority,
            labels=labels,
            batch=batch,
            callback=callback,
        ),
        wait_seconds=None if wait is None else in_seconds(wait, "wait"),
        key=key or str(uuid4()),
        body=None if body is None else request_body(body, content_type=content_type),
    )


def submit(proxy: Proxy, submission: Submission) -> Steps[Submitted]:
    """Submit the task; it stands as it does when the wait window has ended.

    Raises OperationUnknownError, CallInvalidError, ProblemError, and ProxyUnreachableError with
    the key where nobody knows whether the task was made.
    """
    declared = yield from operation(proxy, submission.operation)
    try:
        response = yield from _sent(proxy, submission, declared)
        if response.status_code in _NO_SUCH_ROUTE and "task-id" not in response.headers:
            # The operations file may have moved it since the client has looked.
            found = (yield from operations(proxy)).get(submission.operation)
            if found is not None and found != declared:
                response = yield from _sent(proxy, submission, found)
        return (yield from _submitted(proxy, submission, response))
    except (ProxyUnreachableError, BusyError) as error:
        error.key = submission.key
        raise


def check_call(arguments: Any, key: Any) -> None:
    """Raise CallInvalidError where a program gives no arguments, or a key that is none."""
    if arguments is not None and not isinstance(arguments, Mapping):
        kind = type(arguments).__name__
        raise CallInvalidError(f"`arguments` is a {kind}: expected values by their names.")
    if key is not None and (not isinstance(key, str) or not key):
        raise CallInvalidError(f"`key` is {key!r}: expected a text, 1 to 255 characters long.")


def json_of(value: Any) -> bytes:
    """The JSON text of a call; raises CallInvalidError."""
    try:
        return write_json(value)
    except TypeError as error:
        raise CallInvalidError(f"The arguments cannot be sent: {error}.") from error


def _sent(
    proxy: Proxy, submission: Submission, declared: DeclaredOperation
) -> Steps[httpx.Response]:
    request = declared.request(submission.arguments)
    body = submission.body
    if body is None and request.body is not None:
        body = RequestBody(json_of(request.body), "application/json")
    elif body is not None and not declared.content_types:
        raise CallInvalidError(f"{declared.name} takes no body as it comes, but arguments.")
    began = proxy.monotonic()

    def make() -> Call:
        left = submission.wait_seconds
        if left is not None:
            left = max(0.0, left - (proxy.monotonic() - began))
        options = {"Idempotency-Key": submission.key, **submission.headers}
        if left is not None:
            options["Prefer"] = prefer(left)
        encoded = tuple((name, value.encode()) for name, value in options.items())
        return Call(
            method=declared.method,
            path=request.url,
            answer_seconds=(LONGEST_WINDOW_SECONDS if left is None else left)
            + proxy.answer_seconds,
            headers=(*request.headers, *encoded),
            body=body,
        )

    return (yield from answered(proxy, make))


def _submitted(proxy: Proxy, submission: Submission, response: httpx.Response) -> Steps[Submitted]:
    task_id = response.headers.get("task-id")
    if task_id is None:
        # Only an answer without a task is about the call itself.
        raise_problem(response)
        raise not_a_proxy(response, f"its answer ({response.status_code}) names no task")
    if says_unfinished(response):
        unfinished = task_of(response) if response.is_success else _of_redirect(response)
        return Submitted(unfinished, submission.key)
    answer = response if problem_of_task(response) is None else None
    status = ended_status(response)
    if status is None:
        return Submitted((yield from task(proxy, task_id)), submission.key, answer)
    document = {"id": task_id, "operation": submission.operation, "status": status, "done": True}
    if problem := problem_of_task(response):
        document["error"] = problem.document
    return Submitted(TaskState(document), submission.key, answer)


def _of_redirect(response: httpx.Response) -> TaskState:
    """The task of a 303, which an operation may prefer to 202."""
    return TaskState(response.json(), response.text)
