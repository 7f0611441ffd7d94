"""Tells whether two calls have the same arguments, or are the same altogether.

The digest is keyed, since the arguments may hold secrets that are short enough to be guessed from
a plain one.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import orjson

from asynctasks.json_values import by_value, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asynctasks.operations.sealing import Header

OF_TRACES = frozenset({"baggage", "traceparent", "tracestate"})
"""Headers in which no two calls are alike, and which no answer depends on (W3C Trace Context)."""


def fingerprints(arguments: dict[str, Any], keys: Sequence[str]) -> list[str]:
    """The digest by each key, the newest key's first; the last is that of no key.

    Numbers are compared by value: `1`, `1.0` and `1e0` are the same. The first is for keeping. A
    kept one is compared with all, so that keys can be rotated.
    """
    return [_digest(arguments, key) for key in (*keys, "")]


def with_body_digest(
    arguments: Sequence[str], *, headers: list[list[str]], sha256: str
) -> list[str]:
    """The digests of arguments and of a body that is taken as it comes, to the byte."""
    return [
        hashlib.sha256(orjson.dumps([digest, headers, sha256])).hexdigest() for digest in arguments
    ]


def coalescing_key(
    revision: str, arguments: dict[str, Any], headers: Sequence[Header], keys: Sequence[str]
) -> str:
    """A digest that is the same for calls that come to the same call of an upstream.

    What tells one trace from another is left out.
    """
    sent = [[name.lower(), value] for name, value in headers if name.lower() not in OF_TRACES]
    return _digest([revision, arguments, sent], keys[0] if keys else "")


def _digest(value: Any, key: str) -> str:
    canonical = write_json(by_value(value), orjson.OPT_SORT_KEYS)
    return hmac.new(key.encode(), canonical, hashlib.sha256).hexdigest()
