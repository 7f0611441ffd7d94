"""Lets the pages of some origins call from a browser (Fetch §3.2), and others change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request

from asyncproxy.problems import ForbiddenError, on_error
from asynctasks.operations.operation import METHODS
from asynctasks.operations.reserved_paths import RESERVED_PATHS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from asyncproxy.forwarded import PublicAddress

PREFLIGHT_SECONDS = 600
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
OWN_PAGES = {"same-origin", "none"}
"""What `Sec-Fetch-Site` says of our own pages, and of what a person has typed."""


def with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """The application, which says to these origins that they may call; itself where there are none.

    Any header may be sent and read, since operations have headers of their own. Cookies are not
    sent: nobody is known here by one.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=["*"],
        max_age=PREFLIGHT_SECONDS,
    )


def without_foreign_pages(app: ASGIApp, origins: Sequence[str], public: PublicAddress) -> ASGIApp:
    """The application, in which no page of another origin changes anything by our own paths.

    A browser sends a POST without a body for any page, with what its person is signed in by; only
    the answer is kept from the page. What operations make of such a call is their upstream's.
    """
    if "*" in origins:
        return app

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_changing(scope) and _is_foreign(scope):
            error = ForbiddenError(
                "A page of another origin may not do this, unless ASYNCAPIPROXY_CORS_ORIGINS names "
                "the origin."
            )
            await on_error(Request(scope), error)(scope, receive, send)
        else:
            await app(scope, receive, send)

    def _is_foreign(scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin in origins:
            return False
        if (site := headers.get("sec-fetch-site")) is not None:
            return site not in OWN_PAGES
        if origin is None:
            return False
        # Browsers say no more to a server without TLS.
        ours = headers.get("host"), urlsplit(public.prefix(Request(scope))).netloc
        host = origin.partition("://")[2]
        return not host or host not in ours

    return guarded


def _is_changing(scope: Scope) -> bool:
    return (
        scope["method"] not in SAFE_METHODS
        and scope["path"].lstrip("/").partition("/")[0] in RESERVED_PATHS
    )
