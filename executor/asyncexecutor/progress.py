"""How far the attempts have come that run now, by what they tell of themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from uuid import UUID

    from asynctasks.statements.claims import Claims, Progress

INTERVAL_SECONDS = 1.0
"""Each report is a change that callers are told of, and objects in the cluster show."""


class ProgressNotes:
    """What attempts have told and is not in their rows yet: of each the latest, from any thread."""

    def __init__(self) -> None:
        self._by_attempt: dict[tuple[UUID, int], Progress] = {}

    def note(self, progress: Progress) -> None:
        """Keep it in place of what the same attempt told before."""
        self._by_attempt[progress.task_id, progress.attempt] = progress

    def take(self, task_id: UUID, attempt: int) -> Progress | None:
        """What the attempt told last, once."""
        return self._by_attempt.pop((task_id, attempt), None)

    def take_all(self) -> list[Progress]:
        """What is there now; meanwhile threads may note more."""
        return [self._by_attempt.popitem()[1] for _ in range(len(self._by_attempt))]

    def put_back(self, progress: Progress) -> None:
        """Keep it, unless the same attempt has told more since."""
        self._by_attempt.setdefault((progress.task_id, progress.attempt), progress)


class ProgressWriter:
    """Brings the notes into the rows: of each attempt one a second at most."""

    def __init__(self, notes: ProgressNotes, claims: Claims) -> None:
        self._notes = notes
        self._claims = claims
        self.loop = Loop("progress", self._write, interval_seconds=INTERVAL_SECONDS)

    async def _write(self) -> None:
        # At once, so that they share a transaction.
        taken = self._notes.take_all()
        written = await asyncio.gather(*map(self._claims.report, taken), return_exceptions=True)
        away: DatabaseUnavailableError | None = None
        for progress, result in zip(taken, written, strict=True):
            if isinstance(result, DatabaseUnavailableError):
                self._notes.put_back(progress)
                away = result
            elif result is not None:
                raise result
        if away is not None:
            raise away
