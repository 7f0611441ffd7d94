"""The head of a call as it is written on the connection."""

from __future__ import annotations

import base64
from importlib.metadata import version
from typing import TYPE_CHECKING

from asyncexecutor.http.faults import AddressInvalidError, RequestInvalidError

if TYPE_CHECKING:
    from yarl import URL

    from asyncexecutor.http.call import Call

DEFAULT_HEADERS = {
    "Accept": "*/*",
    # An answer that is packed all the same is kept so, with its Content-Encoding.
    "Accept-Encoding": "identity",
    "User-Agent": f"AsyncApiProxy/{version('asyncapiproxy')}",
}
"""What a call bears that does not say otherwise."""
_DEFAULT_LINES = {name.lower(): f"{name}: {value}" for name, value in DEFAULT_HEADERS.items()}
_ALL_DEFAULT_LINES = tuple(_DEFAULT_LINES.values())
_OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade"}
)
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that have no body, and say nothing of the one they have not (RFC 9110 §8.6)."""


def request_head(call: Call) -> bytes:
    """The lines up to the body.

    Raises RequestInvalidError where a value would make lines of its own, and AddressInvalidError.
    """
    url = call.url
    target = url.raw_path_qs
    lines = [f"{call.method} {target} HTTP/1.1", f"Host: {url.host_port_subcomponent}"]
    lines += [f"{name}: {value}" for name, value in call.headers.items()]
    given = {name.lower() for name in call.headers}
    if given.isdisjoint(_DEFAULT_LINES):
        lines += _ALL_DEFAULT_LINES
    else:
        lines += [line for name, line in _DEFAULT_LINES.items() if name not in given]
    if "@" in url.raw_authority:
        lines.append(f"Authorization: {_basic(url)}")
    if call.body is not None or call.method not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {call.body_bytes}")
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if (
        text.count("\r") != breaks
        or text.count("\n") != breaks
        or "\0" in text
        or " " in target
        or not given.isdisjoint(_OF_THE_CONNECTION)
    ):
        raise RequestInvalidError
    try:
        return f"{text}\r\n\r\n".encode()
    except UnicodeEncodeError:
        # Without the cause, which quotes the head.
        raise RequestInvalidError from None


def _basic(url: URL) -> str:
    """What shows the user of a URL (RFC 7617)."""
    try:
        shown = f"{url.user or ''}:{url.password or ''}".encode("latin-1")
    except UnicodeEncodeError:
        raise AddressInvalidError from None
    return f"Basic {base64.b64encode(shown).decode()}"
