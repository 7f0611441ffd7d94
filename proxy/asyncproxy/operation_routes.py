"""The routes of the operations: each is served at its own path, with and without a trailing slash.

They are plain Starlette routes: the arguments are checked by the operation's JSON Schema, so
FastAPI's own parsing would be paid for nothing on the busiest path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from asyncproxy.body import read_arguments
from asyncproxy.prefer import parse_prefer
from asyncproxy.submission import Call
from asyncproxy.submission_headers import read_conditions
from asyncproxy.task_view import accepted_response, reply_response, row_response
from asynctasks.instants import utc_now
from asynctasks.messages import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from asyncproxy.settings import ProxySettings
    from asyncproxy.submission import Submission
    from asynctasks.operation import Operation, Operations


def operation_routes(
    operations: Operations, submission: Submission, settings: ProxySettings
) -> Iterator[Route]:
    """Two routes for each operation."""
    for operation in operations.values():
        endpoint = _endpoint(operation, submission, settings)
        for path in (operation.path, operation.path + "/"):
            yield Route(path, endpoint, methods=[operation.method], name=operation.name)


def _endpoint(
    operation: Operation, submission: Submission, settings: ProxySettings
) -> Callable[[Request], Awaitable[Response]]:
    async def submit(request: Request) -> Response:
        arguments = await read_arguments(request, operation, max_bytes=settings.max_body_bytes)
        preferences = parse_prefer(request.headers.getlist("prefer"))
        window = preferences.window(
            default_seconds=operation.wait_seconds, max_seconds=settings.max_wait_seconds
        )
        conditions = read_conditions(request.headers, operation, now=utc_now())
        submitted = await submission.submit(Call(operation, arguments, conditions, window))
        headers: dict[str, str] = {}
        if applied := preferences.applied(window):
            headers["Preference-Applied"] = applied
        if submitted.is_replay:
            headers["Idempotency-Replayed"] = "true"
        result = submitted.result
        if isinstance(result, Reply):
            return reply_response(result, headers)
        if result.status.is_final:
            return row_response(result, headers)
        retry_after = submission.admission.retry_after_seconds(operation.queue)
        return accepted_response(result, headers, retry_after_seconds=retry_after)

    return submit
