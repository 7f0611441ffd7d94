"""The statements on the task table that a relay makes: what is due, dead or late.

Each takes a bounded batch of rows and locks them; what another relay holds is left to it. Which
rows are dead or late is asked first, by their ids alone: so one that cannot be read has a name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BindParameter,
    and_,
    bindparam,
    func,
    literal,
    select,
    union_all,
    update,
)

from asynctasks.attempt_history import with_ended_attempt
from asynctasks.endings import CANCELLED_WITHOUT_EXECUTOR, EXPIRED
from asynctasks.instants import seconds_from_now, utc_now
from asynctasks.statements.conditions import (
    HAS_JUST_FINISHED,
    IS_DUE_POLL,
    IS_HELD,
    IS_PUBLISHED,
    IS_PUT_BACK,
    IS_RUNNING,
    NOW,
    WAITS_FOR_JOB,
    WAITS_FOR_POLL,
    is_status,
    tasks,
)
from asynctasks.statements.id_list import is_one_of
from asynctasks.task import TaskStatus
from asynctasks.traces.trace_context import trace_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
class MovedTask:
    """A task that the relay ended or queued again, and who may be waiting to hear of its end."""

    id: UUID
    status: TaskStatus
    error: Problem | None
    reply_to: str | None
    operation: str
    attempt: int
    principal: str
    trace_id: str | None
    job_left_behind: DueTask | None = None
    """Set where the upstream still works on its job: who is to be told, by the task's message."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits on one queue, and how much of it has finished of late."""

    queued: dict[str, int]
    """By operation; delayed tasks and backoffs are not counted until they are due."""
    finished: int
    """Within the seconds asked about."""
    held: dict[str, int] = field(default_factory=dict[str, int])
    """Of what is queued, what has no message yet."""
    put_back: dict[str, int] = field(default_factory=dict[str, int])
    """Of what is queued, tasks that no executor knew how to run: nothing waits behind them."""
    jobs: dict[str, int] = field(default_factory=dict[str, int])
    """By operation the tasks whose upstream works on a job, between two polls."""


class Upkeep:
    """The task table as a relay uses it. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ping(self) -> None:
        """One round trip."""
        await self._database.ping()

    async def take_due_polls(
        self, *, limit: int, again_in_seconds: float, late_seconds: float
    ) -> list[DueTask]:
        """Tasks whose upstream's job should have been asked for so long ago, each given to one.

        They are marked as published; whatever limits they have, their attempt goes on.
        """
        parameters = {
            "max_rows": limit,
            "again_in_seconds": again_in_seconds,
            "due_before_seconds": -late_seconds,
        }
        return await self._take(_DUE_POLLS, parameters)

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

    async def dead(self, *, limit: int) -> list[UUID]:
        """Running tasks whose lease ran out, the longest dead first."""
        return await self._ids(_DEAD_IDS, limit)

    async def return_dead(self, task_ids: Sequence[UUID]) -> list[MovedTask]:
        """Queue those that are still dead; the ones that were to be cancelled are ended."""
        return await self._move(_DEAD, task_ids, _returned)

    async def late(self, *, limit: int) -> list[UUID]:
        """Unfinished tasks whose deadline has passed, the latest first."""
        return await self._ids(_LATE_IDS, limit)

    async def expire(self, task_ids: Sequence[UUID]) -> list[MovedTask]:
        """End those that are still late, by a cancel where that was asked for.

        An executor that runs one finds its row gone.
        """
        return await self._move(_LATE, task_ids, _expired)

    async def _ids(self, which: Any, limit: int) -> list[UUID]:
        async with self._database.read() as connection:
            return list((await connection.execute(which, {"max_rows": limit})).scalars())

    async def _move(
        self, which: Any, task_ids: Sequence[UUID], change: Callable[[Any], dict[str, Any]]
    ) -> list[MovedTask]:
        async with self._database.write() as connection:
            rows = (await connection.execute(which, {"ids": task_ids})).all()
            changes = [change(row) for row in rows]
            if changes:
                await connection.execute(_CHANGE, changes)
            return [
                MovedTask(
                    row.id,
                    status,
                    _PROBLEMS.get(status),
                    row.reply_to,
                    operation=row.operation,
                    attempt=row.attempt,
                    principal=row.principal,
                    trace_id=trace_id_of(row.traceparent),
                    job_left_behind=_left_behind(row, status),
                )
                for row, status in zip(rows, (one["new_status"] for one in changes), strict=True)
            ]

    async def backlogs(self, *, seconds: float) -> dict[str, Backlog]:
        """By queue what waits, and what has finished over the last seconds."""
        async with self._database.read() as connection:
            queued = (await connection.execute(_QUEUED)).all()
            finished = (await connection.execute(_RATE, {"since_seconds": -seconds})).all()
            jobs = (await connection.execute(_JOBS)).all()
        found = {row.queue: Backlog({}, row.finished) for row in finished}
        for row in queued:
            backlog = found.setdefault(row.queue, Backlog({}, 0))
            backlog.queued[row.operation] = row.queued
            if row.held:
                backlog.held[row.operation] = row.held
            if row.put_back:
                backlog.put_back[row.operation] = row.put_back
        for row in jobs:
            found.setdefault(row.queue, Backlog({}, 0)).jobs[row.operation] = row.jobs
        return found


def _left_behind(row: Any, status: TaskStatus) -> DueTask | None:
    is_left = row.upstream_job is not None and status.is_final
    return DueTask(row.id, row.operation, row.queue) if is_left else None


def _returned(row: Any) -> dict[str, Any]:
    if row.upstream_job is not None:
        return _polled_again(row)
    is_cancel = row.cancel_requested
    return {
        "task_id": row.id,
        "new_status": TaskStatus.CANCELLED if is_cancel else TaskStatus.QUEUED,
        "new_attempts": with_ended_attempt(
            row, outcome="cancelled" if is_cancel else "interrupted", finished_at=utc_now()
        ),
        "new_error": CANCELLED_WITHOUT_EXECUTOR.to_json() if is_cancel else None,
        "finished_in_seconds": 0.0 if is_cancel else None,
        "publish_in_seconds": None if is_cancel else 0.0,
        "run_in_seconds": None,
        "interrupted": 1,
    }


def _polled_again(row: Any) -> dict[str, Any]:
    """The attempt goes on: no more was lost than one look at the upstream's job."""
    return {
        "task_id": row.id,
        "new_status": TaskStatus.QUEUED,
        "new_attempts": row.attempts,
        "new_error": None,
        "finished_in_seconds": None,
        "publish_in_seconds": 0.0,
        "run_in_seconds": 0.0,
        "interrupted": 0,
    }


def _expired(row: Any) -> dict[str, Any]:
    is_running = row.status is TaskStatus.RUNNING or row.upstream_job is not None
    status = TaskStatus.CANCELLED if row.cancel_requested else TaskStatus.EXPIRED
    return {
        "task_id": row.id,
        "new_status": status,
        "new_attempts": (
            with_ended_attempt(row, outcome=status.value, finished_at=utc_now())
            if is_running
            else row.attempts
        ),
        "new_error": _PROBLEMS[status].to_json(),
        "finished_in_seconds": 0.0,
        "publish_in_seconds": None,
        "run_in_seconds": None,
        "interrupted": 0,
    }


_PROBLEMS = {TaskStatus.CANCELLED: CANCELLED_WITHOUT_EXECUTOR, TaskStatus.EXPIRED: EXPIRED}
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


_DUE_POLLS = _taking(
    WAITS_FOR_POLL, tasks.c.next_publish_at <= seconds_from_now(bindparam("due_before_seconds"))
)
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
    tasks.c.upstream_job,
    tasks.c.operation,
    tasks.c.queue,
    tasks.c.principal,
    tasks.c.traceparent,
)
_IS_DEAD = and_(IS_RUNNING, tasks.c.lease_until < NOW)
_IS_LATE = and_(is_status(TaskStatus.QUEUED, TaskStatus.RUNNING), tasks.c.deadline <= NOW)
_DEAD_IDS = select(tasks.c.id).where(_IS_DEAD).order_by(tasks.c.lease_until).limit(_MAX_ROWS)
_LATE_IDS = select(tasks.c.id).where(_IS_LATE).order_by(tasks.c.deadline).limit(_MAX_ROWS)
_DEAD = _ENDING.where(_IS_DEAD, is_one_of(tasks.c.id)).with_for_update(skip_locked=True)
_LATE = _ENDING.where(_IS_LATE, is_one_of(tasks.c.id)).with_for_update(skip_locked=True)
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
        run_after=seconds_from_now(bindparam("run_in_seconds")),
    )
)


def _waiting(condition: Any, *, held: int = 0, put_back: int = 0) -> Any:
    kind = (literal(held).label("held"), literal(put_back).label("put_back"))
    return select(tasks.c.queue, tasks.c.operation, *kind).where(condition)


_WAITING = union_all(
    _waiting(IS_PUBLISHED),
    _waiting(IS_HELD, held=1),
    _waiting(IS_DUE_POLL),
    _waiting(IS_PUT_BACK, put_back=1),
).subquery()
_QUEUED = select(
    _WAITING.c.queue,
    _WAITING.c.operation,
    func.count().label("queued"),
    func.sum(_WAITING.c.held).label("held"),
    func.sum(_WAITING.c.put_back).label("put_back"),
).group_by(_WAITING.c.queue, _WAITING.c.operation)
_JOBS = (
    select(tasks.c.queue, tasks.c.operation, func.count().label("jobs"))
    .where(WAITS_FOR_JOB)
    .group_by(tasks.c.queue, tasks.c.operation)
)
_RATE = (
    select(tasks.c.queue, func.count().label("finished"))
    .where(HAS_JUST_FINISHED)
    .group_by(tasks.c.queue)
)
