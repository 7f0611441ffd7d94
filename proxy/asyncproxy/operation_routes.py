"""The routes of the operations: each is served at its own path, with and without a trailing slash.

They are plain Starlette routes: the arguments are checked by the operation's JSON Schema, so
FastAPI's own parsing would be paid for nothing on the busiest path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from asyncproxy.body import read_arguments
from asyncproxy.prefer import parse_prefer
from asyncproxy.task_view import accepted_response, reply_response, row_response
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
        applied = preferences.applied(window)
        headers = {"Preference-Applied": applied} if applied else {}
        answer = await submission.submit(operation, arguments, window_seconds=window)
        if isinstance(answer, Reply):
            return reply_response(answer, headers)
        if answer.status.is_final:
            return row_response(answer, headers)
        return accepted_response(answer, headers)

    return submit
