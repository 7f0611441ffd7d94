"""How a caller wants a task to be run, as the headers of its call."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from asyncapiproxy.client.errors import CallInvalidError

Seconds = float | timedelta
_LABEL = re.compile(r"[^\s,=]+=[^\s,=]*")
"""What is one label in a list of them; the rest is the proxy's to say."""


def option_headers(
    *,
    delay: Seconds | None = None,
    deadline: Seconds | datetime | None = None,
    priority: int | None = None,
    labels: Mapping[str, str] | None = None,
    batch: str | None = None,
    callback: str | None = None,
) -> dict[str, str]:
    """The headers of what is given; raises CallInvalidError for what no header could say."""
    told = {
        "Task-Delay": None if delay is None else _seconds(delay, "delay"),
        "Task-Deadline": _deadline(deadline),
        "Task-Priority": None if priority is None else str(priority),
        "Task-Labels": ", ".join(_labels(labels or {})),
        "Task-Batch": _text(batch, "batch", "the name of a group of tasks"),
        "Task-Callback": _text(
            callback, "callback", "a URL, or a name that the site has given one"
        ),
    }
    return {name: value for name, value in told.items() if value}


def in_seconds(given: Any, name: str) -> float:
    """A time that a program gives, whatever it is; raises CallInvalidError."""
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise CallInvalidError(f"`{name}` is {given!r}: expected seconds, or a timedelta.")
    return float(seconds)


def _labels(labels: Any) -> list[str]:
    if not isinstance(labels, Mapping):
        raise CallInvalidError(f"`labels` is {labels!r}: expected texts by their names.")
    told = [f"{name}={value}" for name, value in labels.items()]  # pyright: ignore[reportUnknownVariableType] - whatever a program gives
    for label in told:
        if not _LABEL.fullmatch(label):
            raise CallInvalidError(f"{label!r} is no label: expected a name and a value.")
    return told


def _text(given: Any, name: str, expected: str) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not (given.isascii() and given.isprintable()):
        raise CallInvalidError(f"`{name}` is no text of printable ASCII: expected {expected}.")
    return given


def _deadline(deadline: Seconds | datetime | None) -> str | None:
    if isinstance(deadline, datetime):
        return deadline.isoformat()
    return None if deadline is None else _seconds(deadline, "deadline")


def _seconds(given: Seconds, name: str) -> str:
    return f"{in_seconds(given, name):.6f}".rstrip("0").rstrip(".")
