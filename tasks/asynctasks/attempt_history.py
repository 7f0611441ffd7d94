"""The history of a task's attempts, as its row keeps it and callers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

KEPT_ATTEMPTS = 50
"""How many ended attempts a row remembers, the newest."""


class _Attempted(Protocol):
    """A task's row or claim, read-only; the attempts are those that ended before this one."""

    @property
    def attempt(self) -> int: ...
    @property
    def attempts(self) -> Sequence[dict[str, Any]]: ...
    @property
    def attempt_started_at(self) -> datetime | None: ...
    @property
    def executor(self) -> str | None: ...


def with_ended_attempt(
    task: _Attempted,
    *,
    outcome: str,
    finished_at: datetime,
    detail: str | None = None,
    response_status: int | None = None,
) -> list[dict[str, Any]]:
    """The task's ended attempts, the one that has just ended the last."""
    entry = {
        "number": task.attempt,
        "startedAt": task.attempt_started_at,
        "finishedAt": finished_at,
        "outcome": outcome,
        "executor": task.executor,
        "responseStatus": response_status,
        "detail": detail,
    }
    ended = {name: value for name, value in entry.items() if value is not None}
    return [*task.attempts, ended][-KEPT_ATTEMPTS:]
