"""The statements on the task table that a relay makes: what is due, dead, late or old.

Each takes a bounded batch of rows and locks them; what another relay holds is left to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, and_, bindparam, delete, func, select, union_all, update

from asynctasks.attempt_history import with_ended_attempt
from asynctasks.endings import CANCELLED_WITH_EXECUTOR, EXPIRED
from asynctasks.instants import seconds_from_now, utc_now
from asynctasks.statements.conditions import (
    HAS_JUST_FINISHED,
    IS_DUE,
    IS_PUBLISHED,
    IS_RUNNING,
    NOW,
    is_status,
    tasks,
)
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from uuid import UUID

    from asynctasks.database import Database
    from asynctasks.response import Problem


@dataclass(frozen=True, slots=True)
class DueTask:
    """A queued task whose message has to be published (again)."""

    id: UUID
    operation: str
    queue: str


@dataclass(frozen=True, slots=True)
class EndedTask:
    """A task that the relay ended, and who may be waiting to hear of it."""

    id: UUID
    status: TaskStatus
    error: Problem
    reply_to: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits on one queue, and how much of it has finished of late."""

    queued: dict[str, int]
    """By operation; delayed tasks and backoffs are not counted until they are due."""
    finished: int
    """Within the seconds asked about."""


class Upkeep:
    """The task table as a relay uses it. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ping(self) -> None:
        """One round trip."""
        await self._database.ping()

    async def take_due(self, *, limit: int, again_in_seconds: float) -> list[DueTask]:
        """Tasks to publish now, each given to one caller, and marked as published."""
        return await self._take(_DUE, {"max_rows": limit, "again_in_seconds": again_in_seconds})

    async def take_lost(self, queue: str, *, limit: int, again_in_seconds: float) -> list[DueTask]:
        """Published tasks of the queue whose messages may be lost, nobody having claimed them.

        The oldest first, each given to one caller, and taken for lost again after that time.
        """
        return await self._take(
            _LOST, {"max_rows": limit, "again_in_seconds": again_in_seconds, "of_queue": queue}
        )

    async def _take(self, which: Any, parameters: dict[str, Any]) -> list[DueTask]:
        async with self._database.write() as connection:
            taken = await connection.execute(which, parameters)
            return [DueTask(**row) for row in taken.mappings()]

    async def overdue_queues(self) -> list[str]:
        """The queues with a task whose message may be lost."""
        async with self._database.read() as connection:
            return list((await connection.execute(_OVERDUE_QUEUES)).scalars())

    async def count_published(self, queue: str) -> int:
        """How many queued tasks should have a message on the queue."""
        async with self._database.read() as connection:
            return (await connection.execute(_COUNT_PUBLISHED, {"of_queue": queue})).scalar_one()

    async def return_dead(self, *, limit: int) -> tuple[int, list[EndedTask]]:
        """Queue the tasks whose lease ran out; those that were to be cancelled are ended.

        How many rows that were, and the ended ones.
        """
        async with self._database.write() as connection:
            rows = (await connection.execute(_DEAD, {"max_rows": limit})).all()
            changes = [_returned(row) for row in rows]
            if changes:
                await connection.execute(_CHANGE, changes)
            ended = [
                EndedTask(row.id, TaskStatus.CANCELLED, CANCELLED_WITH_EXECUTOR, row.reply_to)
                for row in rows
                if row.cancel_requested
            ]
            return len(rows), ended

    async def expire(self, *, limit: int) -> list[EndedTask]:
        """End the tasks whose deadline has passed; an executor that runs one finds its row gone."""
        async with self._database.write() as connection:
            rows = (await connection.execute(_LATE, {"max_rows": limit})).all()
            changes = [_expired(row) for row in rows]
            if changes:
                await connection.execute(_CHANGE, changes)
            return [EndedTask(row.id, TaskStatus.EXPIRED, EXPIRED, row.reply_to) for row in rows]

    async def purge(self, *, limit: int, retention_seconds: float) -> int:
        """Forget finished tasks that are older than that; how many they were."""
        async with self._database.write() as connection:
            purged = await connection.execute(
                _PURGE, {"max_rows": limit, "age_seconds": -retention_seconds}
            )
            return purged.rowcount

    async def backlogs(self, *, seconds: float) -> dict[str, Backlog]:
        """By queue what waits, and what has finished over the last seconds."""
        async with self._database.read() as connection:
            queued = (await connection.execute(_QUEUED)).all()
            finished = (await connection.execute(_RATE, {"since_seconds": -seconds})).all()
        backlogs = {row.queue: Backlog({}, row.finished) for row in finished}
        for row in queued:
            backlogs.setdefault(row.queue, Backlog({}, 0)).queued[row.operation] = row.queued
        return backlogs


def _returned(row: Any) -> dict[str, Any]:
    is_cancel = row.cancel_requested
    return {
        "task_id": row.id,
        "new_status": TaskStatus.CANCELLED if is_cancel else TaskStatus.QUEUED,
        "new_attempts": with_ended_attempt(
            row, outcome="cancelled" if is_cancel else "interrupted", finished_at=utc_now()
        ),
        "new_error": CANCELLED_WITH_EXECUTOR.to_json() if is_cancel else None,
        "finished_in_seconds": 0.0 if is_cancel else None,
        "publish_in_seconds": None if is_cancel else 0.0,
        "interrupted": 1,
    }


def _expired(row: Any) -> dict[str, Any]:
    is_running = row.status is TaskStatus.RUNNING
    return {
        "task_id": row.id,
        "new_status": TaskStatus.EXPIRED,
        "new_attempts": (
            with_ended_attempt(row, outcome="expired", finished_at=utc_now())
            if is_running
            else row.attempts
        ),
        "new_error": EXPIRED.to_json(),
        "finished_in_seconds": 0.0,
        "publish_in_seconds": None,
        "interrupted": 0,
    }


_IS_OVERDUE = and_(IS_PUBLISHED, tasks.c.next_publish_at <= NOW)
_MAX_ROWS: BindParameter[int] = bindparam("max_rows")
_OF_QUEUE: BindParameter[str] = bindparam("of_queue")


def _taking(*conditions: Any) -> Any:
    """Mark a batch of the rows as published and return them; no change that callers see."""
    batch = (
        select(tasks.c.id)
        .where(*conditions)
        .order_by(tasks.c.next_publish_at)
        .limit(_MAX_ROWS)
        .with_for_update(skip_locked=True)
    )
    return (
        update(tasks)
        .where(tasks.c.id.in_(batch))
        .values(published=True, next_publish_at=seconds_from_now(bindparam("again_in_seconds")))
        .returning(tasks.c.id, tasks.c.operation, tasks.c.queue)
    )


_DUE = _taking(IS_DUE)
_LOST = _taking(_IS_OVERDUE, tasks.c.queue == _OF_QUEUE)
_OVERDUE_QUEUES = select(tasks.c.queue).where(_IS_OVERDUE).distinct()
_COUNT_PUBLISHED = (
    select(func.count()).select_from(tasks).where(IS_PUBLISHED, tasks.c.queue == _OF_QUEUE)
)

_ENDING = select(
    tasks.c.id,
    tasks.c.status,
    tasks.c.attempt,
    tasks.c.attempts,
    tasks.c.attempt_started_at,
    tasks.c.executor,
    tasks.c.cancel_requested,
    tasks.c.reply_to,
)
_DEAD = (
    _ENDING.where(IS_RUNNING, tasks.c.lease_until < NOW)
    .order_by(tasks.c.lease_until)
    .limit(_MAX_ROWS)
    .with_for_update(skip_locked=True)
)
_LATE = (
    _ENDING.where(is_status(TaskStatus.QUEUED, TaskStatus.RUNNING), tasks.c.deadline <= NOW)
    .order_by(tasks.c.deadline)
    .limit(_MAX_ROWS)
    .with_for_update(skip_locked=True)
)
_CHANGE = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id"))
    .values(
        version=tasks.c.version + 1,
        status=bindparam("new_status", type_=tasks.c.status.type),
        attempts=bindparam("new_attempts", type_=tasks.c.attempts.type),
        error=bindparam("new_error", type_=tasks.c.error.type),
        interruptions=tasks.c.interruptions + bindparam("interrupted"),
        finished_at=seconds_from_now(bindparam("finished_in_seconds")),
        next_publish_at=seconds_from_now(bindparam("publish_in_seconds")),
        published=False,
        lease_until=None,
        run_after=None,
    )
)

_PURGE = delete(tasks).where(
    tasks.c.id.in_(
        select(tasks.c.id)
        .where(tasks.c.finished_at < seconds_from_now(bindparam("age_seconds")))
        .order_by(tasks.c.finished_at)
        .limit(_MAX_ROWS)
        .with_for_update(skip_locked=True)
    )
)
_WAITING = union_all(
    select(tasks.c.queue, tasks.c.operation).where(IS_PUBLISHED),
    select(tasks.c.queue, tasks.c.operation).where(IS_DUE),
).subquery()
_QUEUED = select(_WAITING.c.queue, _WAITING.c.operation, func.count().label("queued")).group_by(
    _WAITING.c.queue, _WAITING.c.operation
)
_RATE = (
    select(tasks.c.queue, func.count().label("finished"))
    .where(HAS_JUST_FINISHED)
    .group_by(tasks.c.queue)
)
