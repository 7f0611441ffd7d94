"""The page for people at /docs: Swagger UI, with its script and style from a package of ours.

It works without the internet, and every address in it is relative: behind a front that speaks TLS
or serves us below a path, a whole one made of the Host header would be wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute


def docs_routes(*, title: str, prefix: str) -> list[BaseRoute]:
    """The page, what it loads, and the way there from /."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=title,
        swagger_js_url="swagger/swagger-ui-bundle.js",
        swagger_css_url="swagger/swagger-ui.css",
        swagger_favicon_url="swagger/favicon-32x32.png",
        swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
    )

    async def docs(_: Request) -> Response:
        return page

    async def root(_: Request) -> Response:
        return RedirectResponse(f"{prefix}/docs" if prefix else "docs")

    files = StaticFiles(packages=[("fastapi_swagger", "resources")])
    return [Route("/", root), Route("/docs", docs), Mount("/swagger", files)]
