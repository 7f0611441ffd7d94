"""Reads JSON from outside, and refuses what we could not pass on as it is."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import orjson

from asyncproxy.problems import MalformedJsonError
from asynctasks.json_values import as_object, is_storable, numbers_as_written

PLAIN_DEPTH = 100
"""With fewer brackets than this, JSON cannot be too deep."""
MAX_SHOWN = 64
"""Of a name, in a problem."""
_LONG_DIGITS = re.compile(rb"\d{19}")


def read_json(body: bytes, *, first_line: int = 1) -> Any:
    """The value, its numbers as they were written.

    It begins in this line of what was sent. Raises MalformedJsonError, which never quotes the body.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJsonError(
            f"line {first_line + error.lineno - 1}, column {error.colno}: {error.msg}"
        ) from None
    if body.count(b"[") + body.count(b"{") > PLAIN_DEPTH and not is_storable(value):
        raise MalformedJsonError("It is nested too deeply.")
    if _LONG_DIGITS.search(body):
        _check_integers(body)
    if _may_repeat_names(body, value):
        json.loads(body, object_pairs_hook=_check_names)
    return numbers_as_written(body, value)


def _may_repeat_names(body: bytes, value: Any) -> bool:
    """Whether a member may be lost, of which orjson says nothing: its colon is lost with it.

    A colon that is written by its code could stand for that one.
    """
    colons = body.count(b":")
    members = as_object(value)
    if members is not None and colons == len(members):
        return False  # each is of one of these, as most often
    return b"\\u003" in body or colons != orjson.dumps(value).count(b":")


def _check_names(members: list[tuple[str, Any]]) -> None:
    """Others may have read the first of two members (RFC 8259 §4)."""
    names = Counter(name for name, _ in members)
    if len(names) < len(members):
        name = json.dumps(names.most_common(1)[0][0][:MAX_SHOWN], ensure_ascii=False)
        raise MalformedJsonError(f"The member {name} stands twice in one object.")


def _check_integers(body: bytes) -> None:
    """Orjson makes a rounded float of a longer integer: silently another client number."""
    try:
        json.loads(body, parse_int=_check_integer)
    except OverflowError:
        raise MalformedJsonError(
            "An integer has more than 64 bits and would lose digits; send it as a string."
        ) from None


def _check_integer(digits: str) -> None:
    if len(digits) > len("-9223372036854775808") or not -(2**63) <= int(digits) < 2**64:
        raise OverflowError
