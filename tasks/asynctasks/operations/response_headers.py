"""Which headers of an answer are kept with it, for callers who come later too."""

from __future__ import annotations

import re
from typing import Any

from asynctasks.operations.header_names import HEADER_NAME

ANSWERED_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""One line; beyond ASCII each character is one byte (RFC 9110 §5.5, obs-text)."""

KEPT_BY_DEFAULT = frozenset(
    {
        "accept-ranges",
        "allow",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-location",
        "content-range",
        "deprecation",
        "etag",
        "expires",
        "last-modified",
        "link",
        "location",
        "retry-after",
        "sunset",
        "vary",
        "www-authenticate",
    }
)
"""What describes the answer or what it leads to, not the exchange by which it came."""

MAX_KEPT_HEADERS = 64
MAX_KEPT_HEADER_BYTES = 16_384
"""Of all kept headers of an answer together: about what proxies and clients take of a head."""

_EXCHANGE = "it belongs to the exchange with the upstream, not to its answer"
_OURS = "the proxy says that itself"
_NEVER = {
    **dict.fromkeys(
        (
            "connection",
            "content-length",
            "date",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authentication-info",
            "proxy-authorization",
            "proxy-connection",
            "server",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ),
        _EXCHANGE,
    ),
    **dict.fromkeys(("set-cookie", "set-cookie2"), "a cookie is for who made that exchange"),
    **dict.fromkeys(
        (
            "age",
            "content-security-policy",
            "idempotency-joined",
            "idempotency-replayed",
            "preference-applied",
            "task-id",
            "x-content-type-options",
        ),
        _OURS,
    ),
    "content-type": "it is always kept",
}
_RATES = re.compile(r"(x-)?rate-?limit.*")


def why_never_kept(name: str) -> str | None:
    """Why an answer's header of this name, in small letters, is never kept with it."""
    if _RATES.fullmatch(name):
        return "it tells of the moment of the call, and an answer may be given again"
    return _NEVER.get(name)


def why_not_kept(headers: Any) -> str | None:
    """What keeps these headers of a response from being kept; None where nothing does."""
    pairs = _pairs(headers)
    if pairs is None:
        return "are not pairs of name and value, in a tuple or list"
    size = 0
    for name, value in pairs:
        if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
            return "have a name that is none (RFC 9110 §5.1)"
        if reason := why_never_kept(name.lower()):
            return f"have {name}: {reason}"
        if not isinstance(value, str) or not ANSWERED_VALUE.fullmatch(value):
            return f"have a value of {name} that is not one line of text"
        size += len(name) + len(value)
    if len(pairs) > MAX_KEPT_HEADERS or size > MAX_KEPT_HEADER_BYTES:
        return f"are more than {MAX_KEPT_HEADERS}, or than {MAX_KEPT_HEADER_BYTES} bytes"
    return None


def _pairs(headers: Any) -> list[tuple[Any, Any]] | None:
    # What yields them as it goes could be read only once, and may raise anything.
    given: list[Any] | None = list(headers) if type(headers) in {tuple, list} else None
    try:
        return None if given is None else [(name, value) for name, value in given]
    except (TypeError, ValueError):
        return None
