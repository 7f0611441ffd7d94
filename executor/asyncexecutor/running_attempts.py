"""The attempts that run now, and their end from outside: by a cancel, a drain or a lost lease."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

from asyncexecutor.metrics import RUNNING_ATTEMPTS
from asynctasks.attempt_history import with_ended_attempt
from asynctasks.endings import CANCELLED_WHILE_RUNNING
from asynctasks.instants import utc_now
from asynctasks.outcome import Outcome
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from uuid import UUID

    from asynctasks.statements.claimed_task import ClaimedTask
    from asynctasks.statements.claims import Held


class StopReason(StrEnum):
    """Why an attempt is ended from outside; for a cancel and a drain, how the history calls it."""

    CANCEL = "cancelled"
    DRAIN = "given back"
    LOST = "lost"
    """The row is no longer ours: its lease ran out, or it was expired."""


class RunningAttempts:
    """What one executor runs now. Its leases are kept for these, and a drain stops what is left."""

    def __init__(self) -> None:
        self._by_task: dict[UUID, _RunningAttempt] = {}

    @property
    def numbers(self) -> dict[UUID, int]:
        """The tasks whose attempts run now, and the number of each attempt."""
        return {task_id: running.number for task_id, running in self._by_task.items()}

    async def run(self, task: ClaimedTask, attempt: Awaitable[Outcome]) -> Outcome | None:
        """How the attempt ends, or was ended; None where the task is no longer ours."""
        if earlier := self._by_task.get(task.id):
            # Its lease had run out, and the message came to us once more before we had noticed.
            earlier.stop(StopReason.LOST)
        running = self._by_task[task.id] = _RunningAttempt(task.attempt)
        RUNNING_ATTEMPTS.inc()
        try:
            async with running.scope:
                return await attempt
        except TimeoutError:
            if running.stop_reason is None:
                raise
            return stopped(task, running.stop_reason)
        finally:
            RUNNING_ATTEMPTS.dec()
            if self._by_task.get(task.id) is running:
                del self._by_task[task.id]

    def observe(self, asked: Mapping[UUID, int], held: list[Held]) -> None:
        """Stop the attempts whose end was asked for, and those that are no longer ours.

        `held` is what the database answered about the attempts `asked`, of which some may have
        ended since then, and others of the same tasks begun.
        """
        ours = {one.id: one for one in held}
        for task_id, number in asked.items():
            running = self._by_task.get(task_id)
            if running is None or running.number != number:
                continue
            one = ours.get(task_id)
            if one is None or one.attempt != running.number:
                running.stop(StopReason.LOST)
            elif one.cancel_requested:
                running.stop(StopReason.CANCEL)

    def stop_all(self) -> None:
        """Give the tasks that still run back to other executors."""
        for running in self._by_task.values():
            running.stop(StopReason.DRAIN)


class _RunningAttempt:
    def __init__(self, number: int) -> None:
        self.number = number
        self.stop_reason: StopReason | None = None
        self.scope = asyncio.timeout(None)
        """The signal to stop: a timeout that never comes, until `stop` moves it to now."""

    def stop(self, reason: StopReason) -> None:
        if self.stop_reason is None:
            self.stop_reason = reason
            self.scope.reschedule(asyncio.get_running_loop().time())


def stopped(task: ClaimedTask, reason: StopReason) -> Outcome | None:
    """What is left of an attempt that was ended from outside; None where it is no longer ours."""
    if reason is StopReason.LOST:
        return None
    job = task.job
    if job is not None and reason is StopReason.DRAIN:
        # Another executor asks for it at once.
        return Outcome(
            TaskStatus.QUEUED, retry_after_seconds=0, attempts=task.attempts, upstream_job=job
        )
    attempts = with_ended_attempt(task, outcome=reason, finished_at=utc_now())
    if reason is StopReason.CANCEL:
        return Outcome(
            TaskStatus.CANCELLED,
            error=CANCELLED_WHILE_RUNNING,
            attempts=attempts,
            upstream_job=job,
        )
    return Outcome(TaskStatus.QUEUED, retry_after_seconds=0, is_given_back=True, attempts=attempts)
