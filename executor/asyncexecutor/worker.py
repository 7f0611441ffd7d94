"""Takes deliveries and brings each task one step on: claim, run, record, reply, ack."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING

import structlog

from asyncexecutor.attempt import ended_attempt, run_attempt
from asynctasks.errors import DatabaseUnavailableError, MalformedMessageError
from asynctasks.instants import utc_now
from asynctasks.messages import Reply, TaskMessage
from asynctasks.outcome import Outcome
from asynctasks.response import Problem
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from asyncexecutor.attempt import Runnable
    from asynctasks.broker import Broker, Delivery
    from asynctasks.claims import ClaimedTask, Claims, Held
    from asynctasks.sealing import Sealing

PAUSE_SECONDS = 1.0
"""Between tries while the database is away."""

CANCELLED = Problem(
    "task-cancelled", "The task was cancelled", 409, "Someone asked for its end while it ran."
)

log = structlog.get_logger(__name__)


class StopReason(Enum):
    """Why an attempt is ended from outside."""

    CANCEL = auto()
    LOST = auto()
    """The row is no longer ours: its lease ran out, or it was expired."""
    DRAIN = auto()


class _Running:
    """An attempt that can be ended from outside."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.stop_reason: StopReason | None = None
        self.scope = asyncio.timeout(None)

    def stop(self, reason: StopReason) -> None:
        if self.stop_reason is None:
            self.stop_reason = reason
            self.scope.reschedule(asyncio.get_running_loop().time())


class Worker:
    """Handles the deliveries of one queue."""

    def __init__(
        self,
        claims: Claims,
        broker: Broker,
        runnables: Mapping[str, Runnable],
        sealing: Sealing,
        *,
        executor: str,
    ) -> None:
        self._claims = claims
        self._broker = broker
        self._runnables = runnables
        self._sealing = sealing
        self._executor = executor
        self._running: dict[UUID, _Running] = {}

    @property
    def running(self) -> list[UUID]:
        """The tasks whose attempts run now."""
        return list(self._running)

    async def handle(self, delivery: Delivery) -> None:
        """Deal with one delivery, whatever it holds."""
        try:
            message = TaskMessage.decode(delivery.body)
        except MalformedMessageError as error:
            log.warning("message dead-lettered", reason=str(error))
            await delivery.dead_letter(str(error))
            return
        try:
            task = await self._claims.claim(message.task_id)
        except DatabaseUnavailableError as error:
            log.warning("claim failed", task_id=str(message.task_id), reason=str(error))
            await asyncio.sleep(PAUSE_SECONDS)
            await delivery.release()
            return
        if task is not None:
            await self._run(task)
        await delivery.ack()

    def observe(self, asked: set[UUID], held: list[Held]) -> None:
        """Stop the attempts whose end was asked for, and those that are no longer ours.

        `held` is what the database answered about the tasks `asked`.
        """
        ours = {one.id: one for one in held}
        for task_id in asked:
            running = self._running.get(task_id)
            if running is None:
                continue
            one = ours.get(task_id)
            if one is None or one.attempt != running.attempt:
                running.stop(StopReason.LOST)
            elif one.cancel_requested:
                running.stop(StopReason.CANCEL)

    def stop_all(self) -> None:
        """Give the tasks that still run back to other executors."""
        for running in self._running.values():
            running.stop(StopReason.DRAIN)

    async def _run(self, task: ClaimedTask) -> None:
        running = self._running[task.id] = _Running(task.attempt)
        try:
            outcome = await self._attempt(task, running)
        finally:
            del self._running[task.id]
        if outcome is None:
            log.warning("attempt abandoned: the task is no longer ours", task_id=str(task.id))
            return
        if not await self._record(task, outcome):
            log.warning("outcome dropped: the task is no longer ours", task_id=str(task.id))
        elif outcome.status.is_final and task.reply_to is not None:
            reply = Reply(task.id, outcome.status, outcome.response, outcome.error)
            await self._broker.reply(task.reply_to, reply)

    async def _attempt(self, task: ClaimedTask, running: _Running) -> Outcome | None:
        """How the attempt ended; None where the task is no longer ours."""
        try:
            async with running.scope:
                return await run_attempt(
                    task, self._runnables, self._sealing, executor=self._executor
                )
        except TimeoutError:
            return self._stopped(task, running.stop_reason)

    def _stopped(self, task: ClaimedTask, reason: StopReason | None) -> Outcome | None:
        if reason is StopReason.LOST or reason is None:
            return None
        is_cancel = reason is StopReason.CANCEL
        attempts = ended_attempt(
            task,
            outcome="cancelled" if is_cancel else "interrupted",
            executor=self._executor,
            finished_at=utc_now(),
        )
        if is_cancel:
            return Outcome(TaskStatus.CANCELLED, error=CANCELLED, attempts=attempts)
        return Outcome(
            TaskStatus.QUEUED, retry_after_seconds=0, is_interrupted=True, attempts=attempts
        )

    async def _record(self, task: ClaimedTask, outcome: Outcome) -> bool:
        """Commit the outcome, however long the database is away: the work is done only once."""
        while True:
            try:
                return await self._claims.finish(task, outcome)
            except DatabaseUnavailableError as error:
                log.warning("outcome not recorded yet", task_id=str(task.id), reason=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
