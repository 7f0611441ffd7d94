"""Submitting many tasks of one operation, hundreds by each request, each made once.

    calls ──▶ a group ──▶ one request, a line for each ──▶ an answer for each
                             ▲                                │
                             └── those that were not reached, and those refused only for now

Each call has a key, so whatever is sent again joins the task that it may have made.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from asyncapiproxy.client.answers import not_a_proxy, raise_problem
from asyncapiproxy.client.calls import answered, operation
from asyncapiproxy.client.errors import BusyError, CallInvalidError, ProxyUnreachableError
from asyncapiproxy.client.problem import Problem, problem_of
from asyncapiproxy.client.repeating import PASSING, Patience
from asyncapiproxy.client.request_body import RequestBody
from asyncapiproxy.client.steps import Pause
from asyncapiproxy.client.submission import check_call, json_of
from asynctasks.json_values import as_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import httpx

    from asyncapiproxy.client.calls import Proxy
    from asyncapiproxy.client.declared_operation import DeclaredOperation
    from asyncapiproxy.client.steps import Steps

MOST_CALLS = 500
MOST_BYTES = 1_048_576
"""Of one request, unless a single call has more."""
MEDIA_TYPE = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class SubmittedCall:
    """What has come of one of many calls."""

    key: str
    """By it whoever submits the call again finds its task, or makes it."""
    task_id: str | None = None
    problem: Problem | None = None
    """Why there is no task."""


@dataclass(frozen=True, slots=True)
class ManyCall:
    """One of many calls, as it is sent."""

    key: str
    line: bytes


def groups_of(
    calls: Iterable[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], str] | None
) -> Iterator[list[ManyCall]]:
    """The calls in groups for a request each, taken as they are needed; raises CallInvalidError."""
    group: list[ManyCall] = []
    size = 0
    for arguments in calls:
        known = None if key is None else key(arguments)
        check_call(arguments, known)
        call = _call(arguments, known or str(uuid4()))
        if group and (len(group) == MOST_CALLS or size + len(call.line) > MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(call)
        size += len(call.line)
    if group:
        yield group


def submit_group(
    proxy: Proxy, name: str, group: Sequence[ManyCall], headers: Mapping[str, str]
) -> Steps[list[SubmittedCall]]:
    """What has come of each call of a group, in their order.

    Raises OperationUnknownError, CallInvalidError, ProblemError for what is wrong with all of them,
    and ProxyUnreachableError with the key of the first of which nobody knows what came of it.
    """
    declared = yield from operation(proxy, name)
    path = _path(declared)
    found: dict[int, SubmittedCall] = {}
    patience = Patience(proxy.patience_seconds)
    began, tries = proxy.monotonic(), 1
    while True:
        left = [number for number in range(len(group)) if number not in found]
        if not left:
            left = [number for number, one in found.items() if _is_passing(one)]
            waited = proxy.monotonic() - began
            jitter = proxy.jitter()
            pause = patience.pause_seconds(tries=tries, waited=waited, jitter=jitter)
            if not left or pause is None:
                return [found[number] for number in range(len(group))]
            tries += 1
            yield Pause(pause)
        try:
            response = yield from _sent(proxy, path, [group[number] for number in left], headers)
            raise_problem(response)
        except (ProxyUnreachableError, BusyError) as error:
            error.key = group[left[0]].key
            raise
        for number, answer in zip(left, _answers(response, len(left)), strict=False):
            found[number] = _submitted(group[number].key, answer)


def _path(declared: DeclaredOperation) -> str:
    takes_many = (
        declared.method == "POST"
        and declared.body_schemas is not None
        and not declared.parameters
        and not declared.content_types
    )
    if not takes_many:
        raise CallInvalidError(
            f"{declared.name} takes no many calls at once: expected an operation by POST that has"
            " all its arguments in a JSON body."
        )
    return f"{declared.path.rstrip('/')}:batch"


def _call(arguments: Mapping[str, Any], key: str) -> ManyCall:
    line = json_of({"key": key, "arguments": dict(arguments)})
    return ManyCall(key, line + b"\n")


def _sent(
    proxy: Proxy, path: str, calls: Sequence[ManyCall], headers: Mapping[str, str]
) -> Steps[httpx.Response]:
    body = RequestBody(b"".join(call.line for call in calls), MEDIA_TYPE)
    call = proxy.call("POST", path, headers=headers, body=body)
    return (yield from answered(proxy, lambda: call))


def _answers(response: httpx.Response, calls: int) -> list[dict[str, Any]]:
    """What is told of each line from the first on; at least of one."""
    told: list[dict[str, Any]] = []
    for text in response.content.splitlines():
        answer = _object(text)
        if answer is None or answer.get("line") != len(told) + 1:
            raise not_a_proxy(response, "its answer tells of no line")
        told.append(answer)
    if not told or len(told) > calls:
        raise not_a_proxy(response, f"it tells of {len(told)} lines of {calls}")
    if len(told) > 1 and _status(told[-1]) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # One line too many for a single request, or one that is too long: sent first it is told.
        told.pop()
    return told


def _status(answer: Mapping[str, Any]) -> int | None:
    """That of a line's problem, if it has one."""
    return (as_object(answer.get("problem")) or {}).get("status")


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        return as_object(orjson.loads(text))
    except orjson.JSONDecodeError:
        return None


def _submitted(key: str, answer: Mapping[str, Any]) -> SubmittedCall:
    problem = as_object(answer.get("problem"))
    if problem is not None:
        return SubmittedCall(key, problem=problem_of(problem))
    return SubmittedCall(key, task_id=str(answer.get("id")))


def _is_passing(one: SubmittedCall) -> bool:
    return one.problem is not None and one.problem.status in PASSING
