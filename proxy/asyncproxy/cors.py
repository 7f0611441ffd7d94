"""Lets the pages of some origins call from a browser (Fetch §3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware

from asynctasks.operations.operation import METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp

PREFLIGHT_SECONDS = 600


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
