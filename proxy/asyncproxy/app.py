"""Puts the proxy's routes, errors and documents together."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_swagger import patch_fastapi
from starlette.exceptions import HTTPException

from asyncproxy.health_routes import Parts, health_routes
from asyncproxy.openapi import openapi_document
from asyncproxy.operation_routes import operation_routes
from asyncproxy.problems import (
    on_error,
    on_http_exception,
    on_parameters_invalid,
    on_unknown_error,
)
from asyncproxy.task_routes import Tasks, task_routes
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from asyncproxy.settings import ProxySettings
    from asyncproxy.submission import Submission
    from asynctasks.operation import Operations

DESCRIPTION = """An HTTP front door for slow APIs. POST once: if the answer comes in time it is
returned on the same connection, else you get `202 Accepted` and a task to look at."""


def create_app(
    operations: Operations, submission: Submission, parts: Parts, settings: ProxySettings
) -> FastAPI:
    """The proxy's ASGI application."""
    app = FastAPI(
        title="AsyncApiProxy",
        version=version("asyncapiproxy"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        exception_handlers={
            AsyncApiProxyError: on_error,
            HTTPException: on_http_exception,
            RequestValidationError: on_parameters_invalid,
            Exception: on_unknown_error,
        },
    )
    # The routes of the operations stand first: they are looked up for every submission.
    app.router.routes.extend(operation_routes(operations, submission, settings))
    app.include_router(
        task_routes(
            Tasks(
                submission.store,
                submission.watch,
                submission.admission,
                submission.broker,
                operations,
                settings,
            )
        )
    )
    app.include_router(health_routes(parts))
    # The page's own script and style come from a package: /docs works without the internet.
    patch_fastapi(app, redirect_from_root_to_docs=True)
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(openapi_document(app, operations))
        return document

    app.openapi = openapi
    return app
