"""Whether queues have as many messages as they may: what comes then is held as a row.

Looked at now and then and never counted along, so that a call of a queue with room pays nothing. Up
to the next look a few more come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Collection

    from asynctasks.statements.releases import HeldTasks

LOOK_SECONDS = 0.5
LARGEST_SHARE = 0.05
"""Of the time, at most so much goes into looking."""


class QueueWindows:
    """Which of the queues are full, as of the last look."""

    def __init__(self, held: HeldTasks, queues: Collection[str]) -> None:
        self._held = held
        self._queues = queues
        self._full: set[str] = set()
        self._is_used = False
        self.loop = Loop(
            "queue windows",
            self._look,
            interval_seconds=LOOK_SECONDS,
            largest_share=LARGEST_SHARE,
        )

    def is_full(self, queue: str) -> bool:
        """Whether one more message is too many; whoever asks is about to publish it else."""
        self._is_used = True
        return queue in self._full

    async def _look(self) -> None:
        if self._is_used or self._full:  # else nothing has come since
            self._is_used = False
            self._full = await self._held.full(self._queues)
