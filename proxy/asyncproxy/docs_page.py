"""The page for people at /docs: Swagger UI, with its script and style from a package of ours.

It works without the internet, and every address in it is relative: behind a front that speaks TLS
or serves us below a path, a whole one made of the Host header would be wrong.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import TYPE_CHECKING

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, Response
    from starlette.routing import BaseRoute

    from asyncproxy.forwarded import PublicAddress

_CHANGES = {"Cache-Control": "no-cache"}
"""What it shows is another as soon as the operations file is."""
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def docs_routes(app: FastAPI, public: PublicAddress) -> list[BaseRoute]:
    """The page, what it loads, and the way there from /."""
    page = _page(app.title)

    async def docs(_: Request) -> Response:
        return page

    def document(server: str) -> Response:
        return JSONResponse({**app.openapi(), "servers": [{"url": server}]}, headers=_CHANGES)

    async def openapi(request: Request) -> Response:
        # That of hundreds of operations takes a second, in which others are to be answered.
        return await asyncio.to_thread(document, public.prefix(request) or "/")

    async def root(request: Request) -> Response:
        prefix = public.prefix(request)
        return RedirectResponse(f"{prefix}/docs" if prefix else "docs")

    return [
        Route("/", root),
        Route("/docs", docs),
        Route("/openapi.json", openapi),
        Mount("/swagger", StaticFiles(packages=[("fastapi_swagger", "resources")])),
    ]


def _page(title: str) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=title,
        swagger_js_url="swagger/swagger-ui-bundle.js",
        swagger_css_url="swagger/swagger-ui.css",
        swagger_favicon_url="swagger/favicon-32x32.png",
        swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
    )
    page.headers.update({**_CHANGES, "Content-Security-Policy": _policy(bytes(page.body))})
    return page


def _policy(page: bytes) -> str:
    """What the page may load and run: our own files, and its one script by the hash of that.

    Swagger UI sets styles of elements, and has its pictures in its style.
    """
    (script,) = _INLINE_SCRIPT.findall(page)
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'sha256-{digest}'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
