"""The page for people at /ui: files of our own, which ask the public API as any caller does.

Each page of it is the same document, one level below /ui/, so that every address in it is relative
and holds behind a front that serves us below a path. Which page it is the script reads in the
address. The files hold nothing that is not public: what they show is asked for by who looks.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from asyncproxy.task_view import matches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from asyncproxy.forwarded import PublicAddress

_DOCUMENT = "index.html"
PAGES = ("", "tasks", "task", "batches", "batch", "operations", "callbacks")
"""All that the document can show; the first is the overview."""
_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
    # The browser itself refuses innerHTML and its like: text can only be put in as text.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
_HEADERS = {
    # Asked for each time, and mostly answered 304: a new release is seen at once.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "; ".join(_POLICY),
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class _File:
    """One file as it is sent."""

    content: bytes
    packed: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """A weak one: the same for both ways in which it is sent."""
        return f'W/"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    def answer(self, request: Request) -> Response:
        headers = {**_HEADERS, "ETag": self.etag}
        if matches(request.headers.get("if-none-match", ""), self.etag):
            return Response(status_code=304, headers=headers)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(self.content, headers=headers, media_type=self.media_type)
        headers["Content-Encoding"] = "gzip"
        return Response(self.packed, headers=headers, media_type=self.media_type)


def dashboard_routes(public: PublicAddress) -> list[BaseRoute]:
    """The pages, what they load, and the way there from /ui."""
    served = _files()

    async def way_there(request: Request) -> Response:
        prefix = public.prefix(request)
        return RedirectResponse(f"{prefix}/ui/" if prefix else "ui/")

    async def file(request: Request) -> Response:
        found = served.get(request.path_params.get("name", ""))
        if found is None:
            raise HTTPException(404)
        return found.answer(request)

    return [Route("/ui", way_there), Route("/ui/", file), Route("/ui/{name}", file)]


@cache
def _files() -> Mapping[str, _File]:
    """All files of the folder by their names, and the document by those of its pages."""
    found: dict[str, _File] = {}
    for each in files("asyncproxy").joinpath("dashboard").iterdir():
        media_type = _MEDIA_TYPES.get(each.name.rpartition(".")[2])
        if media_type is not None:
            content = each.read_bytes()
            found[each.name] = _File(content, gzip.compress(content, mtime=0), media_type)
    document = found.pop(_DOCUMENT)
    return found | dict.fromkeys(PAGES, document)
