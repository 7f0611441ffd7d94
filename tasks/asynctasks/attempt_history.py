"""The history of a task's attempts, as its row keeps it and callers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

KEPT_ATTEMPTS = 50
"""How many ended attempts a row remembers, the newest."""


class Attempted(Protocol):
    """A task with an attempt that has come to its end."""

    @property
    def attempt(self) -> int:
        """Its number."""
        ...

    @property
    def attempts(self) -> Sequence[dict[str, Any]]:
        """Those that ended before it."""
        ...

    @property
    def attempt_started_at(self) -> datetime | None:
        """When it was claimed."""
        ...

    @property
    def executor(self) -> str | None:
        """Who ran it."""
        ...


def with_ended_attempt(
    task: Attempted,
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
