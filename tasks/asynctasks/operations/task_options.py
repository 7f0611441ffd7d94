"""How a caller wants a task to be run, and what may be asked for, whichever door it comes by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from asynctasks.errors import TaskOptionsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MAX_KEY_LENGTH = 255
MAX_LABELS = 20
MAX_SECONDS = 366 * 86_400
LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
BATCH_NAME = LABEL_NAME
BATCH = (
    "a name of letters, digits, '.', '_', '-' and '/', 63 at most, the first and the last a letter "
    "or digit"
)
"""What is expected of one."""
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
PRIORITIES = range(10)
PRIORITY = "a whole number from 0 to 9"
"""What is expected of one."""
LONGEST_QUOTE = 80
"""As much of a wrong value as a message repeats."""


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How a caller wants a task to be run. What is None or empty is left to the operation."""

    idempotency_key: str | None = None
    deadline: datetime | None = None
    deadline_seconds: float | None = None
    """In place of an instant: from acceptance, by the clock of the database."""
    delay_seconds: float | None = None
    """From acceptance to the first attempt; 0 is at once, whatever the operation's delay."""
    priority: int | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    batch: str | None = None
    """The name of the group that it is one of, by which all of it can be found and acted on."""
    callback: str | None = None
    """Who is told of its end: a URL, or a name of the operations file."""


def check_options(options: TaskOptions, *, now: datetime) -> None:
    """Raise TaskOptionsError where something is asked for that no operation can grant."""
    if options.idempotency_key is not None:
        _check_key(options.idempotency_key)
    if options.deadline_seconds is not None and not 0 < options.deadline_seconds <= MAX_SECONDS:
        raise TaskOptionsError("deadline", f"more than 0 seconds and {MAX_SECONDS} at most")
    if options.deadline is not None:
        _check_deadline(options.deadline, now)
    if options.delay_seconds is not None and not 0 <= options.delay_seconds <= MAX_SECONDS:
        raise TaskOptionsError("delay", f"0 to {MAX_SECONDS} seconds")
    if options.priority is not None and options.priority not in PRIORITIES:
        raise TaskOptionsError("priority", PRIORITY)
    check_labels(options.labels)
    if options.batch is not None and not BATCH_NAME.fullmatch(options.batch):
        raise TaskOptionsError("batch", f"{BATCH}; not {_quoted(options.batch)}")


def check_order(*, deadline_seconds: float | None, delay_seconds: float | None) -> None:
    """Raise TaskOptionsError for a task that could only expire."""
    if deadline_seconds is not None and deadline_seconds <= (delay_seconds or 0.0):
        raise TaskOptionsError("deadline", "a time after the task's delay is over")


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise TaskOptionsError for labels by which no task could be found again."""
    if len(labels) > MAX_LABELS:
        raise TaskOptionsError("labels", f"{MAX_LABELS} labels at most")
    for name, value in labels.items():
        if not LABEL_NAME.fullmatch(name) or not LABEL_VALUE.fullmatch(value):
            raise TaskOptionsError(
                "labels",
                "names and values of letters, digits, '.', '_' and '-', in names '/' too, 63 at "
                f"most, the first and the last a letter or digit; not {_quoted(f'{name}={value}')}",
            )


def _check_key(key: str) -> None:
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise TaskOptionsError(
            "idempotency_key", f"1 to {MAX_KEY_LENGTH} printable ASCII characters"
        )


def _check_deadline(deadline: datetime, now: datetime) -> None:
    if not now < deadline <= now + timedelta(seconds=MAX_SECONDS):
        raise TaskOptionsError("deadline", "a time to come, within a year")


def _quoted(text: str) -> str:
    return repr(text[:LONGEST_QUOTE])
