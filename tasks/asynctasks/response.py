"""What an upstream answered, and why there may be no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

TYPE_PREFIX = "https://asyncapiproxy.dev/problems/"
"""By which, before its word, the type of a problem is shown."""
_ON_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
"""For JSON, whose strings hold no line breaks of their own."""


@dataclass(frozen=True, slots=True)
class Response:
    """The upstream's answer, as it will be given to the caller."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """Others that are kept, each by its name and value; a repeated one is there several times.

    Beyond ASCII each character of a value is one byte.
    """
    blob: str | None = None
    """The name of the blob that has the body, where it is too large to be here."""

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        wanted = name.lower()
        return next((value for each, value in self.headers if each.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a task has no answer of its upstream, in the members of RFC 9457."""

    type: str
    """A stable word; the proxy makes a URI of it (`TYPE_PREFIX`)."""
    title: str
    status: int
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As the row and the reply hold it."""
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }


def body_json(response: Response) -> orjson.Fragment | str | None:
    """The body within a JSON document: JSON as JSON, text as text, else None."""
    if response.header("content-encoding") is not None:
        return None
    try:
        if "json" in response.content_type:
            orjson.loads(response.body)
            # As it came, whatever its depth and digits, but on one line, which events need.
            return orjson.Fragment(response.body.translate(_ON_ONE_LINE))
        return response.body.decode()
    except ValueError:
        return None
