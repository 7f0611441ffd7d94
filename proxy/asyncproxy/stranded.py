"""Tasks that wait and that nobody will run as things stand: found beside each sample of the queues.

Their queue has no executors, or these have put them back, or the operations file no longer has
their operation on that queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from asyncproxy.metrics import STRANDED_TASKS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.operations.operation import Operations
    from asynctasks.statements.roster import Roster
    from asynctasks.statements.upkeep import Backlog

SEEN_SECONDS = 90.0
"""An executor that has not reported itself for longer is gone: it does so every minute at least."""


class Reason(StrEnum):
    """Why nobody runs the tasks."""

    NO_OPERATION = "no-operation"
    NO_EXECUTORS = "no-executors"
    PUT_BACK = "put-back"
    """Executors have an earlier revision of their operation, or do not have it yet."""


@dataclass(frozen=True, slots=True, order=True)
class StrandedQueue:
    """A queue with tasks that nobody runs, why, and how many they are."""

    queue: str
    reason: Reason
    tasks: int


class StrandedQueues:
    """What the last look has found; empty before the first."""

    def __init__(self, roster: Roster, operations: LiveOperations) -> None:
        self._roster = roster
        self._operations = operations
        self.found: list[StrandedQueue] = []

    async def look(self, backlogs: Mapping[str, Backlog]) -> None:
        """Look at what a sample of the queues has found; raises DatabaseUnavailableError."""
        waiting = {name: backlog for name, backlog in backlogs.items() if backlog.queued}
        consumed = await self._roster.consumers(SEEN_SECONDS) if waiting else ()
        self.found = stranded(waiting, operations=self._operations.current, consumed=consumed)
        STRANDED_TASKS.clear()
        for each in self.found:
            STRANDED_TASKS.labels(each.queue, each.reason).set(each.tasks)


def stranded(
    waiting: Mapping[str, Backlog], *, operations: Operations, consumed: Collection[str]
) -> list[StrandedQueue]:
    """The queues with stranded tasks; what waits by queue."""
    found: list[StrandedQueue] = []
    for queue, backlog in waiting.items():
        known = {name for name, operation in operations.items() if operation.queue == queue}
        tasks = {Reason.NO_OPERATION: _count(backlog.queued, but=known)}
        if queue in consumed:
            unknown = backlog.put_back.keys() - known
            tasks[Reason.PUT_BACK] = _count(backlog.put_back, but=unknown)
        else:
            rest = sum(backlog.queued.values()) - tasks[Reason.NO_OPERATION]
            tasks[Reason.NO_EXECUTORS] = rest
        found += (StrandedQueue(queue, reason, count) for reason, count in tasks.items() if count)
    return sorted(found)


def _count(tasks: Mapping[str, int], *, but: Collection[str]) -> int:
    return sum(count for operation, count in tasks.items() if operation not in but)
