"""Why a queued task waits, by what this process knows of limits and pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctasks.instants import utc_now
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynctasks.limits.gates import Gates
    from asynctasks.limits.hold import Hold
    from asynctasks.operations.operation import Operations
    from asynctasks.task import Task

    HoldOf = Callable[[Task], Hold | None]


def not_held(_: Task) -> None:
    """Of a task of which no hold is to be told."""


class Holds:
    """What holds the tasks of these operations, at most a second old."""

    def __init__(self, gates: Gates, operations: Operations) -> None:
        self._gates = gates
        self._operations = operations

    def of(self, task: Task) -> Hold | None:
        """What the task waits for; None where it does not wait, or is about to start."""
        operation = self._operations.get(task.operation)
        if operation is None or not _is_held(task):
            return None
        return self._gates.why_held(operation, task.fair_key)

    def rest_seconds(self, operation: str) -> float:
        """How long the operation's upstream is left alone, for which none of its tasks starts."""
        known = self._operations.get(operation)
        limits = () if known is None else known.limits
        return max((self._gates.breaker(name).open_for_seconds for name in limits), default=0.0)


def _is_held(task: Task) -> bool:
    is_queued = task.status is TaskStatus.QUEUED and not task.published
    if not is_queued or task.upstream_job is not None:
        return False
    return task.next_publish_at is not None and task.next_publish_at <= utc_now()
