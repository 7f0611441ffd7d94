"""How a caller wants a task to be run, as the headers of its call."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Seconds = float | timedelta


def option_headers(
    *,
    delay: Seconds | None = None,
    deadline: Seconds | datetime | None = None,
    priority: int | None = None,
    labels: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The headers of what is given; what cannot be asked for is the proxy's to say."""
    told = {
        "Task-Delay": None if delay is None else _seconds(delay),
        "Task-Deadline": _deadline(deadline),
        "Task-Priority": None if priority is None else str(priority),
        "Task-Labels": ", ".join(f"{name}={value}" for name, value in (labels or {}).items()),
    }
    return {name: value for name, value in told.items() if value}


def _deadline(deadline: Seconds | datetime | None) -> str | None:
    if isinstance(deadline, datetime):
        return deadline.isoformat()
    return None if deadline is None else _seconds(deadline)


def _seconds(given: Seconds) -> str:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
