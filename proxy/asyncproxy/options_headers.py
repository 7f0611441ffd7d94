"""The request headers that say how a task is to be run: key, deadline, delay, labels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from asyncproxy.problems import HeaderInvalidError

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from asynctasks.operations.operation import Operation

MAX_KEY_LENGTH = 255
MAX_LABELS = 20
MAX_SECONDS = 366 * 86_400.0

_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_NOT_TO_COME = "Task-Deadline: expected a time to come, within a year."


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How the caller, or else the operation, wants a task to be run."""

    idempotency_key: str | None = None
    deadline: datetime | None = None
    deadline_seconds: float | None = None
    """In place of an instant: from acceptance, by the clock of the database."""
    delay_seconds: float | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])


def read_options(headers: Headers, operation: Operation, *, now: datetime) -> TaskOptions:
    """What the headers ask for, with the operation's defaults; raises HeaderInvalidError."""
    options = TaskOptions(
        idempotency_key=_key(headers.get("idempotency-key")),
        **_deadline(headers.get("task-deadline"), operation, now),
        delay_seconds=_delay(headers.get("task-delay"), operation),
        labels={**operation.labels, **_labels(",".join(headers.getlist("task-labels")))},
    )
    _check_order(options, now)
    return options


def _check_order(options: TaskOptions, now: datetime) -> None:
    deadline = options.deadline_seconds
    if options.deadline is not None:
        deadline = (options.deadline - now).total_seconds()
    if deadline is not None and deadline <= (options.delay_seconds or 0.0):
        raise HeaderInvalidError("Task-Deadline: expected a time after the task's delay is over.")


def _key(header: str | None) -> str | None:
    """The key, quoted as the draft has it (a structured string) or bare as most send it."""
    if header is None:
        return None
    key = header.strip()
    if len(key) > 1 and key.startswith('"') and key.endswith('"'):
        key = re.sub(r"\\(.)", r"\1", key[1:-1])
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise HeaderInvalidError(
            f"Idempotency-Key: expected 1 to {MAX_KEY_LENGTH} printable ASCII characters."
        )
    return key


def _deadline(header: str | None, operation: Operation, now: datetime) -> dict[str, Any]:
    if header is None:
        return {"deadline_seconds": operation.deadline_seconds}
    text = header.strip()
    if _SECONDS.fullmatch(text):
        if not 0 < float(text) <= MAX_SECONDS:
            raise HeaderInvalidError(_NOT_TO_COME)
        return {"deadline_seconds": float(text)}
    deadline = _instant(text)
    if not now < deadline <= now + timedelta(seconds=MAX_SECONDS):
        raise HeaderInvalidError(_NOT_TO_COME)
    return {"deadline": deadline}


def _instant(text: str) -> datetime:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            instant = parse(text)
            if instant.tzinfo is not None:
                return instant.astimezone(UTC)
        except (ValueError, TypeError, OverflowError):
            continue
    raise HeaderInvalidError(
        "Task-Deadline: expected seconds (90), RFC 3339 (2026-01-31T12:00:00Z) or an HTTP date."
    )


def _delay(header: str | None, operation: Operation) -> float | None:
    if header is None:
        return operation.delay_seconds
    text = header.strip()
    if not _SECONDS.fullmatch(text) or float(text) > MAX_SECONDS:
        raise HeaderInvalidError("Task-Delay: expected seconds, a year at most: 30.")
    return float(text) or None


def _labels(header: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        name, separator, value = (part.strip() for part in pair.partition("="))
        if not separator or not _LABEL_NAME.fullmatch(name) or not _LABEL_VALUE.fullmatch(value):
            raise HeaderInvalidError(
                f"Task-Labels: {pair[:80]!r}: expected name=value of letters, digits, '.', '_', "
                "'-', 63 at most."
            )
        labels[name] = value
    if len(labels) > MAX_LABELS:
        raise HeaderInvalidError(f"Task-Labels: expected {MAX_LABELS} labels at most.")
    return labels
