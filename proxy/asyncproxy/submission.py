"""Submits a call as a task: commit, then publish, then wait for the reply."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from starlette.requests import ClientDisconnect

from asyncproxy.access.principal import ANONYMOUS
from asyncproxy.caller import Caller
from asyncproxy.metrics import PUBLISH_FAILURES
from asynctasks.broker.messages import Reply, TaskMessage
from asynctasks.errors import (
    BrokerUnavailableError,
    DatabaseUnavailableError,
    IdempotencyKeyReusedError,
    QuotaExceededError,
)
from asynctasks.instants import utc_now
from asynctasks.operations.fingerprint import fingerprints
from asynctasks.operations.new_task import check_wishes, new_task
from asynctasks.seldom import Seldom
from asynctasks.task import new_task_id
from asynctasks.traces.traces import NO_TRACES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from asyncproxy.access.audit import Change
    from asyncproxy.access.quotas import Allowance
    from asyncproxy.admission import Admission
    from asyncproxy.body_budget import HeldBody
    from asyncproxy.queue_windows import QueueWindows
    from asyncproxy.replies import ExpectedReply, Replies
    from asyncproxy.settings import ProxySettings
    from asyncproxy.watch import Watch
    from asynctasks.blobs.blobs import Blobs
    from asynctasks.broker.protocol import Broker
    from asynctasks.limits.gates import Gates
    from asynctasks.operations.new_task import NewTask
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.sealing import Header, Sealing
    from asynctasks.operations.task_options import TaskOptions
    from asynctasks.releases import Releases
    from asynctasks.reserved_places import ReservedPlaces
    from asynctasks.statements.quotas import Bound
    from asynctasks.statements.store import Added, TaskStore
    from asynctasks.task import Task
    from asynctasks.traces.trace_context import TraceContext
    from asynctasks.traces.traces import Traces

LOOK_SECONDS = 2.0
"""How long a row is asked for: a database that hangs holds no caller longer."""

log = structlog.get_logger(__name__)
_unpublished = Seldom()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a caller asks for, and all that is held for it while it waits."""

    operation: Operation
    task: NewTask
    fingerprints: Sequence[str]
    """The arguments' digests by each sealing key; none where the call has no idempotency key."""
    window_seconds: float
    body: HeldBody
    caller: Caller = field(default_factory=Caller)
    allowance: Allowance | None = None
    """What it may take of its caller's quotas, if there are any."""
    change: Change | None = None
    """To be told that a task is made of it, where changes are told of."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a call came to within its window."""

    result: Reply | Task
    """The executor's reply, or the task as it stands."""
    is_replay: bool = False
    """Whether the answer is that of an earlier call with the same idempotency key."""

    is_join: bool = False
    """Whether an earlier call, with the same key or equal, made the task, which then still ran."""

    @property
    def is_final(self) -> bool:
        """Whether the task has finished."""
        return self.result.status.is_final


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Submits calls for one proxy process."""

    store: TaskStore
    broker: Broker
    replies: Replies
    watch: Watch
    admission: Admission
    gates: Gates
    releases: Releases
    places: ReservedPlaces
    windows: QueueWindows
    sealing: Sealing
    blobs: Blobs
    settings: ProxySettings
    traces: Traces = NO_TRACES

    def call(
        self,
        operation: Operation,
        *,
        arguments: Any,
        options: TaskOptions,
        headers: Sequence[Header] = (),
        trace: TraceContext | None = None,
        window_seconds: float,
        body: HeldBody,
        caller: Caller,
        change: Change | None = None,
        allowance: Allowance | None = None,
    ) -> Call:
        """The call for these arguments, which it holds only as their text.

        Raises TaskOptionsError, ArgumentsInvalidError.
        """
        principal = ANONYMOUS if change is None else change.principal
        task = new_task(
            operation,
            arguments=arguments,
            options=options,
            headers=headers,
            sealing=self.sealing,
            principal=principal.name,
            tenant=principal.tenant,
            task_id=new_task_id(),
            created_at=utc_now(),
            publish_grace_seconds=(
                self.settings.publish_grace_seconds if self._may_publish(operation) else None
            ),
            callback_urls=self.settings.callback_allow,
        )
        task.set_trace(trace)
        has_key = task.idempotency_key is not None
        return Call(
            operation=operation,
            task=task,
            fingerprints=fingerprints(arguments, self.sealing.keys) if has_key else (),
            window_seconds=window_seconds,
            body=body,
            caller=caller,
            change=change,
            allowance=allowance,
        )

    def check(self, operation: Operation, options: TaskOptions) -> None:
        """Raise TaskOptionsError where no call of the operation may ask for that."""
        allowed = self.settings.callback_allow
        check_wishes(operation, options, created_at=utc_now(), callback_urls=allowed)

    def _may_publish(self, operation: Operation) -> bool:
        """Whether its task has a message at once; else it is held."""
        if not self.broker.is_connected or self.gates.is_paused(operation):
            return False
        return not self.windows.is_full(operation.queue)

    async def submit(self, call: Call) -> Submitted:
        """Accept the call and wait for its end as long as its window lasts.

        Raises OverloadedError, QueueFullError, QuotaExceededError, IdempotencyKeyReusedError,
        DatabaseUnavailableError; after any of them the caller has no task. Raises ClientDisconnect
        where the caller leaves while it waits; the task goes on.
        """
        window_ends = time.monotonic() + call.window_seconds
        waits = self._is_worth_waiting(call)
        with self.admission.admit(call.operation, waits=waits) as permit:
            try:
                accept = self._admitted if call.allowance is None else self._within_quotas
                submitted = await accept(call, window_ends, waits=waits)
            except ClientDisconnect:
                permit.leaves_task = True
                raise
            permit.leaves_task = not submitted.is_final
            return submitted

    def _is_worth_waiting(self, call: Call) -> bool:
        window = self.admission.window_seconds(call.operation, call.window_seconds)
        return window > (call.task.delay_seconds or 0.0)

    async def _within_quotas(self, call: Call, window_ends: float, *, waits: bool) -> Submitted:
        assert call.allowance is not None
        try:
            with call.allowance.waiting() if waits else nullcontext():
                return await self._admitted(call, window_ends, waits=waits)
        except QuotaExceededError as error:
            error.retry_after_seconds = self.admission.retry_after_seconds(call.operation.queue)
            raise

    async def _admitted(self, call: Call, window_ends: float, *, waits: bool) -> Submitted:
        if not waits:
            return await self._submit(call, None, time.monotonic())
        async with self.replies.expect(call.task.id) as expected:
            call.task.reply_to = expected.reply_to
            return await self._submit(call, expected, window_ends)

    async def _submit(
        self, call: Call, expected: ExpectedReply | None, window_ends: float
    ) -> Submitted:
        task = call.task
        added, will_start = await self._accept(call)
        if not added.is_new:
            return await self._join(call, added, window_ends)
        if call.change is not None:
            call.change.task_id = task.id
            call.change.done()
        if not will_start or expected is None or expected.reply_to is None:
            return Submitted(task.as_accepted())
        task.let_go()
        waiting = self._wait(task, expected, window_ends)
        return Submitted(await call.caller.unless_gone(waiting))

    async def _accept(self, call: Call) -> tuple[Added, bool]:
        """The task's row and whether it will start, as one span."""
        task = call.task
        with self.traces.sending(
            task.trace, task_id=task.id, operation=task.operation, queue=task.queue
        ) as span:
            task.set_trace(span.context)
            return await self._stored(call)

    async def _stored(self, call: Call) -> tuple[Added, bool]:
        """The same; both have to be done in one time."""
        task, added = call.task, None
        try:
            async with asyncio.timeout(self.settings.write_seconds):
                bounds = call.allowance.bounds if call.allowance else ()
                added = await self._add(call, bounds)
                call.body.release()
                return added, added.is_new and await self._let_start(task)
        except TimeoutError as error:
            if added is None:
                raise DatabaseUnavailableError(
                    f"The task database did not commit within {self.settings.write_seconds:g} s; "
                    "the task may have been stored all the same."
                ) from error
            # Without a word to the database, which may be what is slow: its grace will pass.
            _log_unpublished(task, "its time was over")
            return added, False

    async def _add(self, call: Call, bounds: Sequence[Bound]) -> Added:
        task, operation = call.task, call.operation
        is_held = bool(task.delay_seconds or not task.publish_grace_seconds)
        if not operation.limits or is_held:
            return await self.store.add(task, bounds)
        self.places.take(operation, task)
        is_stored = False
        try:
            added = await self.store.add(task, bounds)
            is_stored = True
            return added
        finally:
            self.places.settle(task, is_stored=is_stored)

    async def _let_start(self, task: NewTask) -> bool:
        """Publish it or have it released; False where the relay has to do it some time later."""
        if task.published:
            return await self._publish(task)
        if task.delay_seconds is not None:
            return True
        if not self.broker.is_connected:
            return False
        self.releases.soon(task.queue)
        return True

    async def _publish(self, task: NewTask) -> bool:
        """False where the relay has to do it later."""
        try:
            await self.broker.publish(task.queue, TaskMessage(task.id, task.operation))
        except BrokerUnavailableError as error:
            _log_unpublished(task, str(error))
            await self._hold(task.id)
            return False
        return True

    async def _hold(self, task_id: UUID) -> None:
        try:
            await self.store.hold([task_id])
        except DatabaseUnavailableError as error:
            # Then it is taken for lost when its grace has passed.
            log.warning("task not made due", task_id=str(task_id), reason=str(error))

    async def _wait(
        self, task: NewTask, expected: ExpectedReply, window_ends: float
    ) -> Reply | Task:
        reply = await expected.wait(window_ends - time.monotonic())
        if isinstance(reply, Reply):
            return reply
        try:
            return await self._look(task.id)
        except DatabaseUnavailableError:
            # It was committed, so the caller gets its id whatever has happened since.
            return task.as_accepted()

    async def _look(self, task_id: UUID) -> Task:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self.store.find(task_id)
        except TimeoutError as error:
            raise DatabaseUnavailableError(
                f"The task database did not answer within {LOOK_SECONDS:g} s."
            ) from error

    async def _join(self, call: Call, added: Added, window_ends: float) -> Submitted:
        """Wait with the earlier call of the same key, or replay its answer."""
        is_by_key = call.task.idempotency_key is not None
        if is_by_key and added.fingerprint not in call.fingerprints:
            raise IdempotencyKeyReusedError
        call.task.let_go()
        task = await self._look(added.id)
        # One that coalesces has met a task that ran, whatever has become of it since.
        was_final = is_by_key and task.status.is_final
        waiting = self.watch.until_final(task, seconds=window_ends - time.monotonic())
        task = await call.caller.unless_gone(waiting)
        return Submitted(task, is_replay=was_final, is_join=not was_final)


def _log_unpublished(task: NewTask, reason: str) -> None:
    PUBLISH_FAILURES.inc()
    _unpublished.tell(log.warning, "publish left to the relay", task_id=str(task.id), reason=reason)
