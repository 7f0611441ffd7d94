"""Puts the proxy's routes, errors and documents together."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from asyncproxy.batch_routes import batch_routes
from asyncproxy.callback_routes import delivery_routes, key_routes
from asyncproxy.caller_routes import caller_routes
from asyncproxy.dashboard_page import dashboard_routes
from asyncproxy.docs_page import docs_routes
from asyncproxy.health_routes import health_routes
from asyncproxy.openapi import openapi_document
from asyncproxy.openapi_security import with_security
from asyncproxy.operating_routes import operating_routes
from asyncproxy.operation_routes import OperationRoute
from asyncproxy.problems import (
    on_disconnect,
    on_error,
    on_http_exception,
    on_parameters_invalid,
    on_unknown_error,
)
from asyncproxy.task_routes import task_routes
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from asyncproxy.access.authentication import Authentication
    from asyncproxy.batch_routes import BatchEndpoints
    from asyncproxy.callback_routes import CallbackEndpoints
    from asyncproxy.caller_routes import CallerEndpoints
    from asyncproxy.health_routes import HealthEndpoints
    from asyncproxy.operating_routes import OperatingEndpoints
    from asyncproxy.operation_routes import Endpoint
    from asyncproxy.task_routes import TaskEndpoints
    from asynctasks.operations.operation import Operations

DESCRIPTION = """An HTTP front door for slow APIs. POST once: if the answer comes in time it is
returned on the same connection, else you get `202 Accepted` and a task to look at."""


def create_app(
    operations: Operations,
    *,
    calls: Mapping[tuple[str, str], Endpoint],
    tasks: TaskEndpoints,
    batches: BatchEndpoints,
    operating: OperatingEndpoints,
    callbacks: CallbackEndpoints,
    callers: CallerEndpoints,
    health: HealthEndpoints,
    ways: Callable[[], Authentication] | None = None,
    has_docs: bool = True,
    has_dashboard: bool = True,
) -> FastAPI:
    """The proxy's application; `calls` of the operations by method and path.

    `ways` are those in which callers may prove who they are, as they stand when it is called.
    """
    app = FastAPI(
        title="AsyncApiProxy",
        version=version("asyncapiproxy"),
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        # Our own spans tell of calls; FastAPI's would do so twice, and with the query.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        exception_handlers={
            AsyncApiProxyError: _handler(on_error),
            HTTPException: _handler(on_http_exception),
            RequestValidationError: _handler(on_parameters_invalid),
            ClientDisconnect: _handler(on_disconnect),
            Exception: _handler(on_unknown_error),
        },
    )
    for (method, path), endpoint in calls.items():
        app.router.routes.append(OperationRoute(path, endpoint, methods=[method]))
    # Flat, so that what a path allows can be told.
    for router in (
        task_routes(tasks),
        batch_routes(batches),
        delivery_routes(callbacks),
        key_routes(callbacks),
        operating_routes(operating),
        caller_routes(callers),
        health_routes(health),
    ):
        app.router.routes.extend(router.routes)
    if has_docs:
        app.docs_url = "/docs"
        app.router.routes.extend(docs_routes(app, tasks.public))
    if has_dashboard:
        app.router.routes.extend(dashboard_routes(tasks.public))
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(openapi_document(app, operations, has_callbacks=callbacks.are_on))
        return document if ways is None else with_security(document, ways())

    app.openapi = openapi
    return app


def _handler(
    render: Callable[[Request, Exception], Response],
) -> Callable[[Request, Any], Coroutine[Any, Any, Response]]:
    """Asynchronous, or Starlette would render each error in a thread."""

    async def handle(request: Request, error: Exception) -> Response:
        return render(request, error)

    return handle
