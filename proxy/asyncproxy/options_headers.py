"""Reads the request headers that say how a task is to be run."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from asyncproxy.problems import HeaderInvalidError
from asynctasks.errors import TaskOptionsError
from asynctasks.operations.task_options import MAX_SECONDS, PRIORITY, TaskOptions

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from asynctasks.errors import TaskOption

HEADERS: dict[TaskOption, str] = {
    "idempotency_key": "Idempotency-Key",
    "deadline": "Task-Deadline",
    "delay": "Task-Delay",
    "priority": "Task-Priority",
    "labels": "Task-Labels",
    "batch": "Task-Batch",
    "callback": "Task-Callback",
}

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_DIGIT = re.compile(r"\d", re.ASCII)
_IN_QUOTES = r'([ !#-\[\]-~]|\\["\\])'
"""A character of a string (RFC 9651 §3.3.3)."""
_STRING = re.compile(f'"{_IN_QUOTES}*"')
KEY_PATTERN = rf'([!#-~]([ -~]{{0,253}}[!#-~])?|"{_IN_QUOTES}{{1,255}}")'
"""What an Idempotency-Key is, for people and their clients: bare, or as a string in quotes."""


def read_options(headers: Headers) -> TaskOptions:
    """What the headers ask for, allowed or not; raises TaskOptionsError for what says nothing."""
    deadline = _deadline(_only(headers, "deadline"))
    is_instant = isinstance(deadline, datetime)
    return TaskOptions(
        idempotency_key=_key(_only(headers, "idempotency_key")),
        deadline=deadline if is_instant else None,
        deadline_seconds=None if is_instant else deadline,
        delay_seconds=_delay(_only(headers, "delay")),
        priority=_priority(_only(headers, "priority")),
        labels=_labels(",".join(headers.getlist("task-labels"))),
        batch=_only(headers, "batch"),
        callback=_only(headers, "callback"),
    )


def header_error(error: TaskOptionsError) -> HeaderInvalidError:
    """The error in the words of who sends headers."""
    return HeaderInvalidError(f"{HEADERS[error.option]}: expected {error.expected}.")


def _only(headers: Headers, option: TaskOption) -> str | None:
    """The header's value; which of two was meant, nobody can tell."""
    values = headers.getlist(HEADERS[option])
    if len(values) > 1:
        raise TaskOptionsError(option, "it once, not several times")
    return values[0] if values else None


def _key(header: str | None) -> str | None:
    """The key, quoted as the draft has it (a structured string) or bare as most send it."""
    if header is None:
        return None
    key = header.strip()
    if not key.startswith('"') and not key.endswith('"'):
        return key
    if not _STRING.fullmatch(key):
        raise TaskOptionsError(
            "idempotency_key", "no quotes around it, or the two of a string (RFC 9651 §3.3.3)"
        )
    return re.sub(r"\\(.)", r"\1", key[1:-1])


def _deadline(header: str | None) -> datetime | float | None:
    if header is None:
        return None
    text = header.strip()
    return float(text) if _SECONDS.fullmatch(text) else _instant(text)


def _instant(text: str) -> datetime:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            instant = parse(text)
            if instant.tzinfo is not None:
                return instant.astimezone(UTC)
        except (ValueError, TypeError, OverflowError):
            continue
    raise TaskOptionsError(
        "deadline", "seconds (90), RFC 3339 (2026-01-31T12:00:00Z) or an HTTP date"
    )


def _delay(header: str | None) -> float | None:
    if header is None:
        return None
    text = header.strip()
    if not _SECONDS.fullmatch(text):
        raise TaskOptionsError("delay", f"seconds, such as 30, {MAX_SECONDS} at most")
    return float(text)


def _priority(header: str | None) -> int | None:
    if header is None:
        return None
    text = header.strip()
    if not _DIGIT.fullmatch(text):
        raise TaskOptionsError("priority", PRIORITY)
    return int(text)


def _labels(header: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        name, separator, value = (part.strip() for part in pair.partition("="))
        if not separator:
            raise TaskOptionsError("labels", f"name=value, …; not {pair[:80]!r}")
        labels[name] = value
    return labels
