"""Calls of operations as spans; nothing of it runs where nobody is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from asyncproxy.problems import status_of
from asyncproxy.trace import callers_trace, set_trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from asynctasks.operations.operation import Operation
    from asynctasks.traces.traces import Traces


def traced(
    endpoint: Callable[[Request], Awaitable[Response]], operation: Operation, traces: Traces
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint, each call of which is a span."""

    async def serve(request: Request) -> Response:
        scope = request.scope
        with traces.serving(
            callers_trace(scope),
            method=scope["method"],
            route=operation.path,
            path=scope["path"],
            scheme=scope["scheme"],
        ) as span:
            if span.context is not None:
                set_trace(scope, span.context)
            try:
                response = await endpoint(request)
            except ClientDisconnect:
                raise
            except Exception as error:  # noqa: BLE001 - it goes on below, as it would without a span
                span.answered(status_of(error))
                fault = error
            else:
                span.answered(response.status_code, task_id=response.headers.get("task-id"))
                return response
        raise fault

    return serve
