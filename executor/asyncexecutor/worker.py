"""Takes deliveries and brings each task one step on: claim, run, record, reply, ack."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import structlog

from asyncexecutor.attempt import run_attempt
from asyncexecutor.failures import ArgumentsUnreadableError, OperationUnknownError
from asyncexecutor.metrics import (
    DEAD_LETTERS,
    RUNNING_ATTEMPTS,
    UNKNOWN_OPERATION,
    AttemptMetrics,
)
from asynctasks.attempt_history import with_ended_attempt
from asynctasks.broker.messages import Reply, TaskMessage
from asynctasks.endings import CANCELLED_WHILE_RUNNING, INTERRUPTED_TOO_OFTEN
from asynctasks.errors import DatabaseUnavailableError, MalformedMessageError
from asynctasks.instants import utc_now
from asynctasks.outcome import Outcome
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from uuid import UUID

    from asyncexecutor.runner import Runnable
    from asynctasks.broker.protocol import Broker, Delivery
    from asynctasks.operations.sealing import Sealing
    from asynctasks.response import Problem
    from asynctasks.statements.claims import ClaimedTask, Claims, Held

PAUSE_SECONDS = 1.0
"""Between tries while the database is away."""

DEAD_LETTERED = frozenset(
    {INTERRUPTED_TOO_OFTEN.type, OperationUnknownError.type, ArgumentsUnreadableError.type}
)
"""Errors that no caller and no upstream can mend: someone who runs us has to look."""

ResultT = TypeVar("ResultT")

log = structlog.get_logger(__name__)


class StopReason(StrEnum):
    """Why an attempt is ended from outside; for a cancel and a drain, how the history calls it."""

    CANCEL = "cancelled"
    DRAIN = "given back"
    LOST = "lost"
    """The row is no longer ours: its lease ran out, or it was expired."""


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
        queue: str,
        max_interruptions: int,
    ) -> None:
        self._claims = claims
        self._broker = broker
        self._runnables = runnables
        self._sealing = sealing
        self._max_interruptions = max_interruptions
        self._running: dict[UUID, _Running] = {}
        self._metrics = {name: AttemptMetrics(name) for name in (*runnables, UNKNOWN_OPERATION)}
        self._dead_letters = DEAD_LETTERS.labels(queue)

    @property
    def running(self) -> dict[UUID, int]:
        """The tasks whose attempts run now, and the number of each attempt."""
        return {task_id: running.attempt for task_id, running in self._running.items()}

    async def handle(self, delivery: Delivery) -> None:
        """Deal with one delivery, whatever it holds."""
        try:
            await self._handle(delivery)
        except Exception as error:
            # A fault of ours must cost this task its attempt, not the executor all its others.
            log.exception("delivery failed unexpectedly")
            await self._put_aside(delivery, f"the executor has a fault: {type(error).__name__}")

    async def _handle(self, delivery: Delivery) -> None:
        try:
            task_id = TaskMessage.decode(delivery.body).task_id
        except MalformedMessageError as error:
            await self._put_aside(delivery, str(error))
            return
        task = await _when_there(lambda: self._claims.claim(task_id))
        if task is not None:
            error = await self._run(task)
            if error is not None and error.type in DEAD_LETTERED:
                await self._put_aside(delivery, f"task {task.id}: {error.type}: {error.detail}")
                return
        elif not await _when_there(lambda: self._claims.exists(task_id)):
            await self._put_aside(delivery, f"there is no task {task_id}")
            return
        # Else another executor has it, it has finished, or it is not due yet: forget the message.
        await delivery.ack()

    def observe(self, asked: Mapping[UUID, int], held: list[Held]) -> None:
        """Stop the attempts whose end was asked for, and those that are no longer ours.

        `held` is what the database answered about the attempts `asked`, of which some may have
        ended since then, and others of the same tasks begun.
        """
        ours = {one.id: one for one in held}
        for task_id, attempt in asked.items():
            running = self._running.get(task_id)
            if running is None or running.attempt != attempt:
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

    async def _put_aside(self, delivery: Delivery, reason: str) -> None:
        log.error("message dead-lettered", reason=reason)
        self._dead_letters.inc()
        await delivery.dead_letter(reason)

    async def _run(self, task: ClaimedTask) -> Problem | None:
        """Bring the task to the end of this attempt; its error, where it has failed for good."""
        outcome = await self._attempt(task)
        if outcome is not None:
            ended = outcome
            outcome = await _when_there(lambda: self._claims.finish(task, ended))
        if outcome is None:
            log.warning("attempt abandoned: the task is no longer ours", task_id=str(task.id))
            return None
        if not outcome.status.is_final:
            return None
        if task.reply_to is not None:
            reply = Reply(task.id, outcome.status, outcome.response, outcome.error)
            await self._broker.reply(task.reply_to, reply)
        return outcome.error

    async def _attempt(self, task: ClaimedTask) -> Outcome | None:
        """How the attempt ended; None where the task is no longer ours."""
        if task.interruptions >= self._max_interruptions:
            return Outcome(
                TaskStatus.FAILED, error=INTERRUPTED_TOO_OFTEN, attempts=list(task.attempts)
            )
        if earlier := self._running.get(task.id):
            # Its lease had run out, and the message came to us once more before we had noticed.
            earlier.stop(StopReason.LOST)
        running = self._running[task.id] = _Running(task.attempt)
        started = time.perf_counter()
        RUNNING_ATTEMPTS.inc()
        outcome = None
        try:
            async with running.scope:
                outcome = await run_attempt(task, self._runnables, self._sealing)
        except TimeoutError:
            outcome = _stopped(task, running.stop_reason)
        finally:
            RUNNING_ATTEMPTS.dec()
            metrics = self._metrics.get(task.operation) or self._metrics[UNKNOWN_OPERATION]
            metrics.ended(outcome, time.perf_counter() - started)
            if self._running.get(task.id) is running:
                del self._running[task.id]
        return outcome


def _stopped(task: ClaimedTask, reason: StopReason | None) -> Outcome | None:
    if reason is None or reason is StopReason.LOST:
        return None
    attempts = with_ended_attempt(task, outcome=reason, finished_at=utc_now())
    if reason is StopReason.CANCEL:
        return Outcome(TaskStatus.CANCELLED, error=CANCELLED_WHILE_RUNNING, attempts=attempts)
    return Outcome(TaskStatus.QUEUED, retry_after_seconds=0, is_given_back=True, attempts=attempts)


async def _when_there(ask: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """What the database answers, however long it is away: an outcome is worth waiting for."""
    while True:
        try:
            return await ask()
        except DatabaseUnavailableError as error:
            log.warning("waiting for the task database", reason=str(error))
            await asyncio.sleep(PAUSE_SECONDS)
