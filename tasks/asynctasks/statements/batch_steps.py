"""The statements by which a batch is done to tasks, a bounded number in each transaction.

    lock the batch, as it was read ─▶ lock those of the tasks found that nobody else holds ─▶
    change the ones that still fit ─▶ count, remember up to where ─▶ commit

What a step has done and how far the batch has come are committed together: whoever goes on after a
crash does nothing twice and leaves nothing out. Tasks that others hold have their turn in the next
step, so that a step with hundreds of locks never waits for another one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select, text, update

from asynctasks.batch import UNFINISHED, Batch, BatchAction, BatchStatus
from asynctasks.endings import CANCELLED_WHILE_QUEUED
from asynctasks.instants import seconds_from_now
from asynctasks.statements.asked_changes import ORPHAN, cancelled, retried
from asynctasks.statements.batch_search import FITTING
from asynctasks.statements.batches import batches
from asynctasks.statements.conditions import NOW, tasks
from asynctasks.statements.id_list import is_one_of
from asynctasks.statements.owners import Owner
from asynctasks.statements.quotas import room_for
from asynctasks.statements.upkeep import MovedTask
from asynctasks.task import TaskStatus
from asynctasks.traces.trace_context import trace_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.database import Database
    from asynctasks.statements.batch_search import Found
    from asynctasks.statements.quotas import Bound, Room

QUOTA_EXCEEDED = "quota-exceeded"
LAST_ID = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Stepped:
    """What came of a step."""

    batch: Batch
    """As it stands now."""
    ended: Sequence[MovedTask]
    """The tasks that it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSteps:
    """Makes the steps of batches."""

    database: Database
    more_attempts: Callable[[str], int]
    """That a retry adds, by the operation's name."""
    bounds: Callable[[Owner], Sequence[Bound]] | None = None
    """How many tasks an owner may have; None where nobody has such bounds."""

    async def step(
        self, batch: Batch, found: Found, *, status: TaskStatus | None
    ) -> Stepped | None:
        """Do it with those found that still have the status, or one with which it can be done.

        None where somebody else has made a step, or cancelled the batch, since it was read. Raises
        DatabaseUnavailableError.
        """
        statuses = FITTING[batch.action] if status is None else (status,)
        ids = [*map(UUID, batch.locked), *found.ids]
        async with self.database.write() as connection:
            read = {"batch_id": batch.id, "read_version": batch.version}
            if (await connection.execute(_LOCK_BATCH, read)).first() is None:
                return None
            turn = _Turn(connection, self)
            await turn.take(batch.action, ids, statuses)
            progress = _progress(batch, found, turn)
            row = (await connection.execute(_PROGRESS, progress)).mappings().one()
            return Stepped(Batch.of_row(row), turn.ended)


@dataclass(slots=True)
class _Turn:
    """The tasks of one step, within its transaction."""

    connection: AsyncConnection
    steps: BatchSteps
    locked: Sequence[UUID] = ()
    """By others."""
    done: int = 0
    skipped: int = 0
    failed: int = 0
    ended: Sequence[MovedTask] = field(default_factory=list[MovedTask])

    async def take(
        self, action: BatchAction, ids: Sequence[UUID], statuses: Collection[TaskStatus]
    ) -> None:
        # Before the rows: whoever adds a task locks rows after that, too.
        room = await self._room(ids) if action is BatchAction.RETRY else None
        rows = (await self.connection.execute(_LOCK, {"ids": ids})).all()
        left = set(ids).difference(row.id for row in rows)
        if left:
            self.locked = (await self.connection.execute(_THERE, {"ids": left})).scalars().all()
        fitting = [row for row in rows if _fits(row, action, statuses)]
        self.skipped = len(ids) - len(self.locked) - len(fitting)
        match action:
            case BatchAction.CANCEL:
                await self._cancel(fitting)
            case BatchAction.RETRY:
                await self._retry(fitting, room)
            case BatchAction.DELETE:
                await self._delete(fitting)
        self.done = len(fitting) - self.failed

    async def _room(self, ids: Sequence[UUID]) -> Room | None:
        if self.steps.bounds is None:
            return None
        owners = await self.connection.execute(_OWNERS, {"ids": ids})
        bounds = [bound for row in owners for bound in self._bounds(row)]
        return await room_for(self.connection, bounds) if bounds else None

    def _bounds(self, row: Any) -> Sequence[Bound]:
        if self.steps.bounds is None:
            return ()
        names = ("operation", "principal", "tenant", "is_of_asynctask")
        return self.steps.bounds(Owner(**{name: getattr(row, name) for name in names}))

    async def _cancel(self, rows: Sequence[Any]) -> None:
        kinds: dict[tuple[TaskStatus, bool], list[UUID]] = defaultdict(list)
        for row in rows:
            kinds[row.status, row.has_job].append(row.id)
        for kind, ids in kinds.items():
            await self.connection.execute(_CANCEL[kind], {"ids": ids})
        self.ended = [_ended(row) for row in rows if _is_queued(row)]

    async def _retry(self, rows: Sequence[Any], room: Room | None) -> None:
        kinds: dict[tuple[int, bool], list[UUID]] = defaultdict(list)
        for row in rows:
            bounds = () if room is None else self._bounds(row)
            if room is not None and room.take(bounds) is not None:
                self.failed += 1
            else:
                kinds[self.steps.more_attempts(row.operation), bool(bounds)].append(row.id)
        for (more_attempts, is_counted), ids in kinds.items():
            values = {"ids": ids, "more_attempts": more_attempts}
            await self.connection.execute(_RETRY[is_counted], values)

    async def _delete(self, rows: Sequence[Any]) -> None:
        await self.connection.execute(_DELETE, {"ids": [row.id for row in rows]})
        if with_blobs := [row.id for row in rows if row.has_blob]:
            await self.connection.execute(ORPHAN, {"ids": with_blobs})


def _is_queued(row: Any) -> bool:
    """As it is shown: one whose upstream's job goes on runs."""
    return row.status is TaskStatus.QUEUED and not row.has_job


def _fits(row: Any, action: BatchAction, statuses: Collection[TaskStatus]) -> bool:
    if action is BatchAction.CANCEL and row.cancel_requested:
        return False
    has_job = row.status is TaskStatus.QUEUED and row.has_job
    return (TaskStatus.RUNNING if has_job else row.status) in statuses


def _ended(row: Any) -> MovedTask:
    return MovedTask(
        row.id,
        TaskStatus.CANCELLED,
        CANCELLED_WHILE_QUEUED,
        row.reply_to,
        operation=row.operation,
        attempt=row.attempt,
        principal=row.principal,
        trace_id=trace_id_of(row.traceparent),
    )


def _progress(batch: Batch, found: Found, turn: _Turn) -> dict[str, Any]:
    is_last = found.until is None and not turn.locked
    failures = dict(batch.failures)
    if turn.failed:
        failures[QUOTA_EXCEEDED] = failures.get(QUOTA_EXCEEDED, 0) + turn.failed
    return {
        "batch_id": batch.id,
        "new_status": BatchStatus.SUCCEEDED if is_last else BatchStatus.RUNNING,
        "finished_in_seconds": 0.0 if is_last else None,
        "new_found_until": found.until or LAST_ID,
        "new_locked": [one.hex for one in turn.locked],
        "more_matched": len(found.ids),
        "more_done": turn.done,
        "more_skipped": turn.skipped,
        "new_failures": failures,
    }


_IS_BATCH = batches.c.id == bindparam("batch_id")
_LOCK_BATCH = (
    select(batches.c.id)
    .where(_IS_BATCH, batches.c.version == bindparam("read_version"), text(UNFINISHED))
    .with_for_update(skip_locked=True)
)
_PROGRESS = (
    update(batches)
    .where(_IS_BATCH)
    .values(
        version=batches.c.version + 1,
        status=bindparam("new_status", type_=batches.c.status.type),
        stepped_at=NOW,
        finished_at=seconds_from_now(bindparam("finished_in_seconds")),
        found_until=bindparam("new_found_until", type_=batches.c.found_until.type),
        locked=bindparam("new_locked", type_=batches.c.locked.type),
        matched=batches.c.matched + bindparam("more_matched"),
        done=batches.c.done + bindparam("more_done"),
        skipped=batches.c.skipped + bindparam("more_skipped"),
        failures=bindparam("new_failures", type_=batches.c.failures.type),
    )
    .returning(batches)
)

_IS_FOUND = is_one_of(tasks.c.id)
_OWNED = (
    tasks.c.operation,
    tasks.c.principal,
    tasks.c.tenant,
    tasks.c.asynctask.is_not(None).label("is_of_asynctask"),
)
_OWNERS = select(*_OWNED).where(_IS_FOUND).distinct()
_THERE = select(tasks.c.id).where(_IS_FOUND)
_LOCK = (
    select(
        tasks.c.id,
        tasks.c.status,
        tasks.c.attempt,
        tasks.c.cancel_requested,
        tasks.c.reply_to,
        tasks.c.traceparent,
        tasks.c.upstream_job.is_not(None).label("has_job"),
        (tasks.c.body_blob.is_not(None) | tasks.c.response_blob.is_not(None)).label("has_blob"),
        *_OWNED,
    )
    .where(_IS_FOUND)
    .order_by(tasks.c.id)
    .with_for_update(skip_locked=True)
)
_CHANGE = update(tasks).where(_IS_FOUND).values(version=tasks.c.version + 1)
_CANCEL = {
    (status, has_job): _CHANGE.values(cancelled(status, has_job=has_job))
    for status in FITTING[BatchAction.CANCEL]
    for has_job in (False, True)
}
_RETRY = {
    is_counted: _CHANGE.values(
        **retried(bindparam("more_attempts")), **({"counted": True} if is_counted else {})
    )
    for is_counted in (False, True)
}
_DELETE = delete(tasks).where(_IS_FOUND)
