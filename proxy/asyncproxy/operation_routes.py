"""What serves the operations: reads a call, submits it, renders what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from asyncproxy.blob_response import with_body
from asyncproxy.body import parse_arguments, read_body, refuse_body
from asyncproxy.caller import caller_of
from asyncproxy.forwarded import reads_forwarded, unless_vouched
from asyncproxy.metrics import RequestMetrics
from asyncproxy.options_headers import header_error, read_options
from asyncproxy.prefer import parse_prefer
from asyncproxy.problems import OverloadedError
from asyncproxy.raw_body import describing_headers, take_in
from asyncproxy.request_head import forwarded_headers
from asyncproxy.task_view import reply_response, row_response, unfinished_response
from asyncproxy.trace import trace_of
from asyncproxy.traced import traced
from asynctasks.broker.messages import Reply
from asynctasks.errors import (
    ArgumentsInvalidError,
    AsyncApiProxyError,
    TaskOptionsError,
    UnavailableError,
)
from asynctasks.operations.fingerprint import with_body_digest
from asynctasks.operations.operation import BODILESS
from asynctasks.task import Task
from asynctasks.traces.traces import NO_TRACES

if TYPE_CHECKING:
    from starlette.types import Scope

    from asyncproxy.access.access import Access
    from asyncproxy.access.audit import Change
    from asyncproxy.access.quotas import Allowance, Quotas
    from asyncproxy.admission import Admission
    from asyncproxy.body_budget import BodyBudget, HeldBody
    from asyncproxy.forwarded import PublicAddress
    from asyncproxy.holds import Holds
    from asyncproxy.prefer import Preferences
    from asyncproxy.submission import Call, Submission, Submitted
    from asynctasks.operations.operation import Operation, Operations
    from asynctasks.traces.traces import Traces

LARGE_BYTES = 16_384
"""Of a body whose reading and checking may take some ten milliseconds."""
_SLASH = "\ud800"
"""Stands for the slash of a segment: nothing that is decoded from UTF-8 holds it."""
Endpoint = Callable[[Request], Awaitable[Response]]


class OperationRoute(Route):
    """Where an operation is served; in its path `%2F` is a part of one argument."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is meant."""
        raw = scope.get("raw_path") or b""
        if b"%2f" not in raw.lower():
            return super().matches(scope)
        segments = (unquote(segment) for segment in raw.decode("ascii", "replace").split("/"))
        path = "/".join(segment.replace("/", _SLASH) for segment in segments)
        return super().matches({**scope, "path": path})


def operation_endpoints(
    operations: Operations,
    *,
    submission: Submission,
    admission: Admission,
    bodies: BodyBudget,
    holds: Holds,
    public: PublicAddress,
    access: Access | None = None,
    quotas: Quotas | None = None,
    traces: Traces = NO_TRACES,
) -> dict[tuple[str, str], Endpoint]:
    """What serves each operation, by its method and path, with and without a trailing slash.

    A HEAD is answered as the GET of its path unless there is an operation of its own.
    """
    endpoints: dict[tuple[str, str], Endpoint] = {}
    # Those of HEAD first, or a route of GET would be found for them.
    for operation in sorted(operations.values(), key=lambda one: one.method != "HEAD"):
        endpoint = _endpoint(
            operation,
            submission,
            admission=admission,
            bodies=bodies,
            holds=holds,
            public=public,
            access=access,
            quotas=quotas,
        )
        endpoint = surrounded(endpoint, operation, public=public, traces=traces)
        for path in (operation.path, operation.path + "/"):
            endpoints[operation.method, path] = endpoint
            if operation.method == "GET":
                endpoints.setdefault(("HEAD", path), endpoint)
    return endpoints


def surrounded(
    endpoint: Endpoint, operation: Operation, *, public: PublicAddress, traces: Traces
) -> Endpoint:
    """The endpoint with a span of its own, and without headers that only proxies may write."""
    if traces.are_on:
        endpoint = traced(endpoint, operation, traces)
    if reads_forwarded(operation):
        endpoint = unless_vouched(endpoint, public.proxies)
    return endpoint


def _endpoint(
    operation: Operation,
    submission: Submission,
    *,
    admission: Admission,
    bodies: BodyBudget,
    holds: Holds,
    public: PublicAddress,
    access: Access | None,
    quotas: Quotas | None,
) -> Endpoint:
    metrics = RequestMetrics(operation.name)

    async def serve(request: Request) -> Response:
        change = allowance = None
        try:
            if access is not None:
                change = access.submit(request, operation.name)
                allowance = quotas.allow(change.principal) if quotas else None
            with bodies.hold() as body:
                call, preferences = await _read_call(
                    request,
                    operation,
                    submission,
                    bodies,
                    held=body,
                    change=change,
                    allowance=allowance,
                )
                submitted = await _submit(call, submission, metrics)
        except ClientDisconnect:
            metrics.answered("left")
            raise
        except TaskOptionsError as error:
            raise noted(header_error(error), metrics, change) from error
        except Exception as error:
            noted(error, metrics, change)
            raise
        metrics.answered(outcome_of(submitted))
        headers = _headers(submitted, preferences.applied(call.window_seconds))
        if allowance is not None:
            headers |= allowance.headers
        prefix = public.prefix(request)
        if submitted.is_final:
            answer = _final_response(submitted.result, headers, prefix=prefix)
        else:
            assert isinstance(submitted.result, Task)
            answer = unfinished_response(
                submitted.result,
                headers,
                redirect_wait_seconds=preferences.redirect_wait_seconds(
                    is_default=operation.redirect,
                    max_seconds=submission.settings.max_wait_seconds,
                ),
                retry_after_seconds=admission.retry_after_seconds(
                    operation.queue, at_least=holds.rest_seconds(operation.name)
                ),
                prefix=prefix,
                hold_of=holds.of,
            )
        if operation.method == "HEAD":
            # That of a GET, of which nobody knows the length here (RFC 9110 §8.6).
            del answer.headers["Content-Length"]
        return await with_body(answer, request, submission.blobs)

    return serve


async def _read_call(
    request: Request,
    operation: Operation,
    submission: Submission,
    bodies: BodyBudget,
    *,
    held: HeldBody,
    change: Change | None,
    allowance: Allowance | None,
) -> tuple[Call, Preferences]:
    """The call, and what its caller prefers."""
    settings = submission.settings
    body = b""
    described = None
    if operation.method in BODILESS:
        await refuse_body(request)
    elif operation.body is not None:
        described = describing_headers(request, operation.body)
    else:
        body = await read_body(request, held, max_bytes=settings.max_body_bytes)
    preferences = parse_prefer(request.headers.getlist("prefer"))
    window = preferences.window(
        default_seconds=operation.wait_seconds, max_seconds=settings.max_wait_seconds
    )

    def call() -> Call:
        arguments = parse_arguments(request, operation, body, max_values=settings.max_body_values)
        try:
            return submission.call(
                operation,
                arguments=arguments,
                options=read_options(request.headers),
                headers=forwarded_headers(request, operation),
                trace=trace_of(request.scope),
                window_seconds=window,
                body=held,
                caller=caller_of(request.scope),
                change=change,
                allowance=allowance,
            )
        except ArgumentsInvalidError as error:
            raise operation.call_parameters.pointed(error) from error

    if described is not None:
        # Before the body is read: what is refused need not be sent.
        return await _with_raw_body(call(), described, request, submission), preferences
    if len(body) < LARGE_BYTES:
        return call(), preferences
    # What takes long to read and to check keeps no other caller waiting in a thread of its own.
    async with bodies.reading_large:
        return await asyncio.to_thread(call), preferences


async def _with_raw_body(
    call: Call, headers: list[list[str]], request: Request, submission: Submission
) -> Call:
    declared = call.operation.body
    assert declared is not None
    sha256 = await take_in(request, declared, call.task, blobs=submission.blobs, held=call.body)
    call.task.body_headers = headers
    if not call.fingerprints:
        return call
    found = with_body_digest(call.fingerprints, headers=headers, sha256=sha256)
    call.task.fingerprint = found[0]
    return replace(call, fingerprints=found)


async def _submit(call: Call, submission: Submission, metrics: RequestMetrics) -> Submitted:
    parked_at = metrics.park()
    try:
        return await submission.submit(call)
    finally:
        metrics.release(parked_at, call.task.trace)


def _headers(submitted: Submitted, applied: str | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    if applied:
        headers["Preference-Applied"] = applied
    if submitted.is_replay:
        headers["Idempotency-Replayed"] = "true"
    elif submitted.is_join:
        headers["Idempotency-Joined"] = "true"
    return headers


def _final_response(result: Reply | Task, headers: dict[str, str], *, prefix: str) -> Response:
    if isinstance(result, Reply):
        return reply_response(result, headers, prefix=prefix)
    return row_response(result, headers, prefix=prefix)


def outcome_of(submitted: Submitted) -> str:
    """How the metrics call what the caller got."""
    if not submitted.is_final:
        return "accepted"
    return "replayed" if submitted.is_replay else "answered"


def noted(error: Exception, metrics: RequestMetrics, change: Change | None) -> Exception:
    """What the call is refused with, once the metrics and the audit have it."""
    metrics.answered(_refusal(error))
    if change is not None:
        change.refused(error)
    return error


def _refusal(error: Exception) -> str:
    """How the metrics call it: whether it is for the caller to mend, for time, or for us."""
    if isinstance(error, OverloadedError):
        return "overloaded"
    is_callers = isinstance(error, AsyncApiProxyError)
    return "failed" if isinstance(error, UnavailableError) or not is_callers else "rejected"
