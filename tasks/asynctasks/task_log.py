"""One line for each task that ends or is to be tried again, by whoever brings that about.

Without the problem's text and the answer, which may quote arguments: the task has them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from asynctasks.logs import TASKS, LineRecord

if TYPE_CHECKING:
    from uuid import UUID

_log = logging.getLogger(TASKS)
_WARNED_OF = frozenset({"failed", "expired"})


def log_task(
    became: str,
    *,
    task_id: UUID,
    operation: str,
    status: str,
    attempt: int,
    principal: str,
    trace_id: str | None = None,
    seconds: float | None = None,
    error: str | None = None,
    response_status: int | None = None,
) -> None:
    """Write the line: what became of the task, where it stands now, how long its attempt took."""
    level = logging.WARNING if became in _WARNED_OF else logging.INFO
    if not _log.isEnabledFor(level):
        return
    told = {
        "event": f"task {became}",
        "task_id": str(task_id),
        "operation": operation,
        "status": status,
        "attempt": attempt,
        "seconds": None if seconds is None else round(seconds, 3),
        "principal": principal or None,
        "error": error,
        "response_status": response_status,
        "trace_id": trace_id,
    }
    known = {name: value for name, value in told.items() if value is not None}
    _log.handle(LineRecord(TASKS, known, level))
