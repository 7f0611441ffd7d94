"""Takes deliveries and polls and brings each task one step on: claim, run, record, reply, ack."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from asyncexecutor.attempt import attempt_at, run_attempt
from asyncexecutor.database_waits import when_there
from asyncexecutor.failures import ArgumentsUnreadableError, AttemptFailedError
from asyncexecutor.metrics import DEAD_LETTERS, AttemptMetrics, word_of
from asyncexecutor.misses import Miss
from asyncexecutor.runner import JobRunner
from asyncexecutor.running_attempts import StopReason, stopped
from asynctasks.broker.messages import Reply, TaskMessage
from asynctasks.endings import INTERRUPTED_TOO_OFTEN
from asynctasks.errors import MalformedMessageError
from asynctasks.instants import utc_now
from asynctasks.outcome import Outcome
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.task import TaskStatus
from asynctasks.task_log import log_task
from asynctasks.traces.trace_context import trace_id_of
from asynctasks.traces.traces import NO_TRACES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from asyncexecutor.breakers import Breakers
    from asyncexecutor.misses import Misses
    from asyncexecutor.progress import ProgressNotes
    from asyncexecutor.runner import Runnable
    from asyncexecutor.running_attempts import RunningAttempts
    from asynctasks.blobs.blobs import Blobs
    from asynctasks.broker.protocol import Broker, Delivery
    from asynctasks.operations.sealing import Sealing
    from asynctasks.response import Problem
    from asynctasks.statements.claims import Claims
    from asynctasks.traces.traces import Traces
    from asynctasks.upstream_job import UpstreamJob

MOST_CLAIMS = 3
"""Of one delivery. What each look calls ours and no claim finds, the relay brings once more."""

DEAD_LETTERED = frozenset({INTERRUPTED_TOO_OFTEN.type, ArgumentsUnreadableError.type})
"""Errors that no caller and no upstream can mend: someone who runs us has to look."""

log = structlog.get_logger(__name__)


class Worker:
    """Handles the deliveries of one queue: claim, run, record, reply, ack."""

    def __init__(
        self,
        claims: Claims,
        *,
        misses: Misses,
        broker: Broker,
        sealing: Sealing,
        blobs: Blobs,
        running: RunningAttempts,
        breakers: Breakers,
        notes: ProgressNotes,
        traces: Traces = NO_TRACES,
        queue: str,
        max_interruptions: int,
    ) -> None:
        self._claims = claims
        self._misses = misses
        self._broker = broker
        self._runnables: dict[str, Runnable] = {}
        self._metrics: dict[str, AttemptMetrics] = {}
        self._sealing = sealing
        self._blobs = blobs
        self._max_interruptions = max_interruptions
        self._running = running
        self._breakers = breakers
        self._notes = notes
        self._traces = traces
        self._queue = queue
        self._dead_letters = DEAD_LETTERS.labels(queue)
        self.on_job: Callable[[float], None] = lambda _: None
        """Called where an upstream's job goes on, with how long it is until the next poll."""

    def add(self, runnables: Mapping[str, Runnable]) -> None:
        """Run these operations from now on, each in the place of what it was before.

        One that is no longer claimed stays: a claim may be on its way.
        """
        self._runnables.update(runnables)
        for name in runnables.keys() - self._metrics.keys():
            self._metrics[name] = AttemptMetrics(name)

    async def handle(self, delivery: Delivery) -> None:
        """Deal with one delivery, whatever it holds."""
        try:
            await self._handle(delivery)
        except Exception as error:
            # A fault of ours must cost this task its attempt, not the executor all its others.
            log.exception("delivery failed unexpectedly")
            await self._put_aside(delivery, f"the executor has a fault: {type(error).__name__}")

    async def poll(self, task: ClaimedTask) -> None:
        """Deal with a task that was claimed without a message, to ask for its upstream's job."""
        try:
            await self._run(task)
        except Exception:
            # As above. Its lease runs out, and then it is polled again.
            log.exception("poll failed unexpectedly", task_id=str(task.id))

    async def _handle(self, delivery: Delivery) -> None:
        try:
            task_id = TaskMessage.decode(delivery.body).task_id
        except MalformedMessageError as error:
            await self._put_aside(delivery, str(error))
            return
        task = await self._claimed(task_id)
        if task is Miss.JOB_LEFT_BEHIND:
            await self._end_job_left_behind(task_id)
        if task is Miss.NO_SUCH_TASK:
            await self._put_aside(delivery, f"there is no task {task_id}")
            return
        if isinstance(task, ClaimedTask):
            error = await self._run(task)
            if error is not None and error.type in DEAD_LETTERED:
                await self._put_aside(delivery, f"task {task.id}: {error.type}: {error.detail}")
                return
        await delivery.ack()

    async def _claimed(self, task_id: UUID) -> ClaimedTask | Miss:
        """The task, or what is left to do with its message."""
        miss = Miss.CLAIM_AGAIN
        for _ in range(MOST_CLAIMS):
            task = await when_there(lambda: self._claims.claim(task_id))
            if task is not None:
                return task
            miss = await when_there(lambda: self._misses.settle(task_id))
            if miss is not Miss.CLAIM_AGAIN:
                break
        return miss

    async def _put_aside(self, delivery: Delivery, reason: str) -> None:
        log.error("message dead-lettered", reason=reason)
        self._dead_letters.inc()
        await delivery.dead_letter(reason)

    async def _run(self, task: ClaimedTask) -> Problem | None:
        """Bring the task to the end of this attempt; its error, where it has failed for good."""
        with self._traces.attempting(
            task.trace,
            task_id=task.id,
            operation=task.operation,
            queue=self._queue,
            attempt=task.attempt,
            is_poll=task.upstream_job is not None,
        ) as span:
            outcome = await self._brought_on(task.in_trace(span.context))
            error = None if outcome is None else outcome.error
            goes_on = outcome is not None and outcome.goes_on
            span.ended("goes on" if goes_on else word_of(outcome), error=error and error.type)
        return error

    async def _brought_on(self, task: ClaimedTask) -> Outcome | None:
        """How the attempt has ended, once that is recorded and told; None where it is not ours."""
        began = time.perf_counter()
        outcome = await self._attempt(task)
        if outcome is not None:
            ended = outcome
            outcome = await when_there(lambda: self._claims.finish(task, ended))
        if outcome is None:
            log.warning("attempt abandoned: the task is no longer ours", task_id=str(task.id))
            return None
        if outcome.goes_on:
            self.on_job(outcome.retry_after_seconds or 0.0)
            return outcome
        _log_end(task, outcome, began=began)
        if not outcome.status.is_final:
            return outcome
        if task.reply_to is not None:
            reply = Reply(task.id, outcome.status, outcome.response, outcome.error)
            await self._broker.reply(task.reply_to, reply)
        if outcome.status is TaskStatus.CANCELLED and outcome.upstream_job is not None:
            await self._cancel_job(task, outcome.upstream_job)
        return outcome

    async def _attempt(self, task: ClaimedTask) -> Outcome | None:
        """How the attempt ended; None where the task is no longer ours."""
        if task.interruptions >= self._max_interruptions:
            return Outcome(
                TaskStatus.FAILED, error=INTERRUPTED_TOO_OFTEN, attempts=list(task.attempts)
            )
        if task.cancel_requested:
            return stopped(task, StopReason.CANCEL)
        started = time.perf_counter()
        outcome = None
        try:
            runnable = self._runnables[task.operation]
            attempt = run_attempt(task, runnable, self._sealing, self._blobs, self._breakers)
            outcome = await self._running.run(task, attempt)
            told = self._notes.take(task.id, task.attempt)
            if told is not None:
                await when_there(lambda: self._claims.report(told))
        finally:
            seconds = time.perf_counter() - started
            if task.upstream_job is not None:
                seconds = (utc_now() - task.attempt_started_at).total_seconds()
            self._metrics[task.operation].ended(outcome, seconds, task.trace)
        return outcome

    async def _end_job_left_behind(self, task_id: UUID) -> None:
        task = await when_there(lambda: self._misses.left_behind(task_id))
        if task is not None and task.job is not None:
            await self._cancel_job(task, task.job)

    async def _cancel_job(self, task: ClaimedTask, job: UpstreamJob) -> None:
        runner = self._runnables[task.operation].runner
        try:
            if isinstance(runner, JobRunner):
                await runner.cancel(attempt_at(task, self._sealing, self._blobs), job)
        except AttemptFailedError as error:
            log.warning("upstream job not cancelled", task_id=str(task.id), reason=error.type)


def _log_end(task: ClaimedTask, outcome: Outcome, *, began: float) -> None:
    """Tell how the attempt ended; nobody is told of each time that a job was asked for."""
    seconds = time.perf_counter() - began
    if task.upstream_job is not None:
        seconds = (utc_now() - task.attempt_started_at).total_seconds()
    log_task(
        word_of(outcome),
        task_id=task.id,
        operation=task.operation,
        status=outcome.status.value,
        attempt=task.attempt,
        seconds=seconds,
        principal=task.principal,
        trace_id=trace_id_of(task.traceparent),
        error=outcome.error.type if outcome.error else None,
        response_status=outcome.response.status if outcome.response else None,
    )
