"""The request headers that say how a task is to be run: key, deadline, delay, labels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from asyncproxy.problems import HeaderInvalidError

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from asynctasks.operation import Operation

MAX_KEY_LENGTH = 255
MAX_LABELS = 20
MAX_SECONDS = 366 * 86_400.0

_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the caller, or else the operation, wants a task to be run."""

    idempotency_key: str | None = None
    deadline: datetime | None = None
    delay_seconds: float | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])


def read_conditions(headers: Headers, operation: Operation, *, now: datetime) -> Conditions:
    """What the headers ask for, with the operation's defaults; raises HeaderInvalidError."""
    deadline = headers.get("task-deadline")
    delay = headers.get("task-delay")
    labels = headers.get("task-labels")
    default_deadline = operation.deadline_seconds
    return Conditions(
        idempotency_key=_key(headers.get("idempotency-key")),
        deadline=(
            _deadline(deadline, now)
            if deadline is not None
            else now + timedelta(seconds=default_deadline)
            if default_deadline is not None
            else None
        ),
        delay_seconds=_delay(delay) if delay is not None else operation.delay_seconds,
        labels={**operation.labels, **(_labels(labels) if labels is not None else {})},
    )


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


def _deadline(header: str, now: datetime) -> datetime:
    text = header.strip()
    is_seconds = _SECONDS.fullmatch(text)
    deadline = now + timedelta(seconds=float(text)) if is_seconds else _instant(text)
    if not now < deadline <= now + timedelta(seconds=MAX_SECONDS):
        raise HeaderInvalidError("Task-Deadline: expected a time to come, within a year.")
    return deadline


def _instant(text: str) -> datetime:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            instant = parse(text)
        except (ValueError, TypeError):
            continue
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    raise HeaderInvalidError(
        "Task-Deadline: expected seconds (90), RFC 3339 (2026-01-31T12:00:00Z) or an HTTP date."
    )


def _delay(header: str) -> float | None:
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
