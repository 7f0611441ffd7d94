"""Leads calls of operations past the framework: the busiest path, and the one that needs it least.

The arguments are checked by the operation's own JSON Schema, so FastAPI's parsing and middleware
would be paid for nothing: about a fifth of the proxy's CPU for each call. Everything else is
FastAPI's, operations with a variable in their path too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from asyncproxy.problems import on_error, on_unknown_error
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from asyncproxy.operation_routes import Endpoint


class FastPath:
    """The proxy's ASGI application, which another may replace while it serves."""

    def __init__(self) -> None:
        """Nothing can be served before the first `lead_to`."""
        self._app: ASGIApp
        self._endpoints: Mapping[tuple[str, str], Endpoint]

    def lead_to(self, app: ASGIApp, endpoints: Mapping[tuple[str, str], Endpoint]) -> None:
        """Lead requests to `endpoints` by method and exact path, and to `app` with the rest.

        Those that are being answered stay where they are.
        """
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        endpoint = None
        if scope["type"] == "http":
            endpoint = self._endpoints.get((scope["method"], scope["path"]))
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except ClientDisconnect:
            return
        except AsyncApiProxyError as error:
            response = on_error(request, error)
        except Exception as error:  # noqa: BLE001 - the top of a request, and it is logged there
            response = on_unknown_error(request, error)
        await response(scope, receive, send)
