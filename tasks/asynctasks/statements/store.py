"""The statements on the task table that a proxy makes for its callers.

Adding goes through GroupCommit: one statement for many callers, and it may be repeated. The
executor's statements are in `claims`, the relay's in `upkeep`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import (
    bindparam,
    delete,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from asynctasks.errors import (
    DatabaseUnavailableError,
    QuotaExceededError,
    TaskFinishedError,
    TaskNotFinishedError,
    TaskNotFoundError,
    TaskUnreadableError,
)
from asynctasks.group_commit import Batch
from asynctasks.instants import seconds_from_now
from asynctasks.statements.asked_changes import ORPHAN, cancelled, retried
from asynctasks.statements.conditions import is_status, tasks
from asynctasks.statements.hold import HOLD
from asynctasks.statements.hot_statements import ADD, ADD_WITH_PLACES, ADDED, additions
from asynctasks.statements.id_list import is_one_of
from asynctasks.statements.owners import OWNER, Owner
from asynctasks.statements.pages import UNREADABLE, Filter, Page, read_page
from asynctasks.statements.quotas import Kind, room_for, within_bounds
from asynctasks.statements.reserved_places import take
from asynctasks.statements.shown import View, shown_columns
from asynctasks.task import Task, TaskStatus, may_move

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.database import Database
    from asynctasks.group_commit import GroupCommit
    from asynctasks.operations.new_task import NewTask
    from asynctasks.statements.quotas import Bound


@dataclass(frozen=True, slots=True)
class Added:
    """The task that a submission led to: a new one, or the one that has its idempotency key."""

    id: UUID
    is_new: bool
    fingerprint: str | None


class TaskStore:
    """The task table as a proxy uses it. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database, commits: GroupCommit) -> None:
        self._database = database
        self._commits = commits

    async def add(self, task: NewTask, bounds: Sequence[Bound] = ()) -> Added:
        """Store and commit the task, unless its idempotency key is known already.

        Or unless another with its coalescing key has not finished. Raises QuotaExceededError where
        it would be new, and one of the bounds leaves it no room.
        """
        if task.coalescing_key is not None:
            return await self._add_unless_equal(task, bounds)
        if bounds:
            return await self._add_bounded(task, bounds)
        batch = _ADDING if task.idempotency_key is None else _ADDING_BY_KEY
        return await self._commits.write(batch, task)

    async def _add_unless_equal(self, task: NewTask, bounds: Sequence[Bound]) -> Added:
        for _ in range(MAX_ROUNDS):
            if bounds:
                added = await self._add_bounded(task, bounds)
            else:
                added = await self._commits.write(_COALESCING, task)
            if added is not None:
                return added
        raise DatabaseUnavailableError("Equal calls finish faster than this one can be stored.")

    async def _add_bounded(self, task: NewTask, bounds: Sequence[Bound]) -> Any:
        result = await self._commits.write(_BOUNDED[_kind_of(task)], (task, bounds))
        if isinstance(result, QuotaExceededError):
            raise result
        return result

    async def find(self, task_id: UUID) -> Task:
        """The task as it is shown; raises TaskNotFoundError, TaskUnreadableError."""
        async with self._database.read() as connection:
            return await _one(connection, task_id, _SHOWN[connection.dialect.name])

    async def owner_of(self, task_id: UUID) -> Owner:
        """Whose the task is, which costs the same however large it is; raises TaskNotFoundError."""
        async with self._database.read() as connection:
            found = await connection.execute(OWNER, {"task_id": task_id})
            row = found.mappings().one_or_none()
        if row is None:
            raise TaskNotFoundError(task_id)
        return Owner(**row)

    async def versions(self, task_ids: Sequence[UUID]) -> dict[UUID, int]:
        """The versions of those of the tasks that there are."""
        async with self._database.read() as connection:
            rows = await connection.execute(_VERSIONS, {"ids": task_ids})
            return {row.id: row.version for row in rows}

    async def finished_among(self, task_ids: Sequence[UUID]) -> list[UUID]:
        """Those of the tasks that have finished."""
        async with self._database.read() as connection:
            return list((await connection.execute(_FINISHED, {"ids": task_ids})).scalars())

    async def page(
        self,
        which: Filter,
        *,
        before: UUID | None,
        size: int,
        seconds: float = 60,
        view: View = View.SUMMARY,
    ) -> Page:
        """The newest tasks that fit, below the id `before`, to be shown.

        A page costs the same however deep, and a full one ends early where it holds many bytes.
        Raises ReadTooLongError after so many seconds.
        """
        async with self._database.read_long(seconds=seconds) as connection:
            return await read_page(connection, which, before=before, size=size, view=view)

    async def hold(self, task_ids: Sequence[UUID]) -> None:
        """Hold these, to be released anew: publishing them has just failed."""
        async with self._database.write() as connection:
            await connection.execute(HOLD, {"ids": task_ids})

    async def cancel(self, task_id: UUID) -> Task:
        """End a queued task, or ask the executor of a running one to end it; the task after that.

        Raises TaskNotFoundError, TaskFinishedError.
        """
        async with self._database.write() as connection:
            task = await _one(connection, task_id, _LOCK)
            if task.status.is_final:
                raise TaskFinishedError(f"The task is {task.status} and cannot be cancelled.")
            if task.shown_status is TaskStatus.RUNNING and task.cancel_requested:
                return task
            values = cancelled(task.status, has_job=task.upstream_job is not None)
            return await _change(connection, task, values)

    async def retry(
        self, task_id: UUID, *, more_attempts: int, bounds: Sequence[Bound] = ()
    ) -> Task:
        """Queue a failed, cancelled or expired task anew, for so many more attempts.

        Raises TaskNotFoundError, TaskNotFinishedError, TaskFinishedError, and QuotaExceededError
        where one of the bounds leaves it no room.
        """
        async with self._database.write() as connection:
            # First: whoever adds a task locks rows after that, too.
            room = await room_for(connection, bounds) if bounds else None
            task = await _one(connection, task_id, _LOCK)
            if not task.status.is_final:
                raise TaskNotFinishedError(f"The task is {task.status}; it needs no retry.")
            if not may_move(task.status, TaskStatus.QUEUED):
                raise TaskFinishedError(f"The task has {task.status} and needs no retry.")
            values = retried(more_attempts)
            if room is not None:
                if error := room.take(bounds):
                    raise error
                values["counted"] = True
            return await _change(connection, task, values)

    async def delete(self, task_id: UUID) -> None:
        """Forget a finished task; raises TaskNotFoundError, TaskNotFinishedError."""
        async with self._database.write() as connection:
            task = await _one(connection, task_id, _LOCK)
            if not task.status.is_final:
                raise TaskNotFinishedError(f"The task is {task.status}; cancel it first.")
            await connection.execute(delete(tasks).where(tasks.c.id == task_id))
            if task.body_blob or task.response_blob:
                await connection.execute(ORPHAN, {"ids": [task_id]})


_IS_ASKED_FOR = tasks.c.id == bindparam("task_id")
_SHOWN = {
    dialect: select(*shown_columns(dialect)).where(_IS_ASKED_FOR)
    for dialect in ("postgresql", "sqlite")
}
_LOCK = select(tasks).where(_IS_ASKED_FOR).with_for_update()
_VERSIONS = select(tasks.c.id, tasks.c.version).where(is_one_of(tasks.c.id))
_FINISHED = select(tasks.c.id).where(is_one_of(tasks.c.id), tasks.c.finished_at.is_not(None))

_NEW = {
    **{name: bindparam(name, type_=tasks.c[name].type) for name in ADDED},
    "status": TaskStatus.QUEUED,
    "deadline": func.coalesce(
        bindparam("deadline", type_=tasks.c.deadline.type),
        seconds_from_now(bindparam("deadline_seconds")),
    ),
    "run_after": seconds_from_now(bindparam("delay_seconds")),
    "next_publish_at": seconds_from_now(bindparam("publish_in_seconds")),
}
_ADD = {
    "postgresql": postgresql.insert(tasks).values(_NEW).on_conflict_do_nothing(),
    "sqlite": sqlite.insert(tasks).values(_NEW).on_conflict_do_nothing(),
}
# A principal that belongs to several tenants is another caller in each.
_CALLED = (tasks.c.principal, tasks.c.tenant, tasks.c.operation)
_KEY = (*_CALLED, tasks.c.idempotency_key)
_BY_KEY = select(tasks.c.id, tasks.c.fingerprint, *_KEY).where(
    tuple_(*_KEY).in_(bindparam("keys", expanding=True))
)

_COALESCED = (*_CALLED, tasks.c.coalescing_key)
_UNFINISHED = select(tasks.c.id, *_COALESCED).where(
    tuple_(*_COALESCED).in_(bindparam("keys", expanding=True)),
    is_status(TaskStatus.QUEUED, TaskStatus.RUNNING),
)
MAX_ROUNDS = 5
"""How often a task is tried to be stored whose equal finishes just then."""


async def _add(connection: AsyncConnection, new: Sequence[NewTask]) -> list[Added]:
    await take(connection, new)
    await connection.execute(_ADD[connection.dialect.name], [vars(task) for task in new])
    return _all_new(new)


async def _add_at_once(database: Database, new: Sequence[NewTask]) -> list[Added]:
    if any(task.place_of is not None for task in new):
        await _add_with_places(database, new)
    else:
        for parameters in additions([vars(task) for task in new]):
            await database.fetch(ADD, *parameters)
    return _all_new(new)


async def _add_with_places(database: Database, new: Sequence[NewTask]) -> None:
    started: set[UUID] = set()
    for parameters in additions([vars(task) for task in new], with_places=True):
        rows = await database.fetch(ADD_WITH_PLACES, *parameters)
        started.update(row["id"] for row in rows if row["published"])
    for task in new:
        if task.place_of is not None:
            task.start_at_once(has_place=task.id in started)


def _all_new(new: Sequence[NewTask]) -> list[Added]:
    return [Added(task.id, is_new=True, fingerprint=None) for task in new]


async def _add_by_key(connection: AsyncConnection, new: Sequence[NewTask]) -> list[Added]:
    """One whose idempotency key is taken leads to the task that has it."""
    # In one order everywhere: two proxies that insert the same keys must not wait for each other.
    await _add(connection, sorted(new, key=_key_of))
    rows = await connection.execute(_BY_KEY, {"keys": list(map(_key_of, new))})
    known = {tuple(row)[2:]: row for row in rows}
    if len(known) < len({_key_of(task) for task in new}):
        raise DatabaseUnavailableError("A task with this idempotency key was forgotten just now.")
    holders = [known[_key_of(task)] for task in new]
    return [
        Added(holder.id, is_new=holder.id == task.id, fingerprint=holder.fingerprint)
        for task, holder in zip(new, holders, strict=True)
    ]


async def _coalesce(connection: AsyncConnection, new: Sequence[NewTask]) -> list[Added | None]:
    """One whose equal has not finished leads to that; None where that has finished just now."""
    await _add(connection, sorted(new, key=_equality_of))
    rows = await connection.execute(_UNFINISHED, {"keys": list(map(_equality_of, new))})
    holders = {tuple(row)[1:]: row.id for row in rows}
    ids = [holders.get(_equality_of(task)) for task in new]
    return [
        None if task_id is None else Added(task_id, is_new=task_id == task.id, fingerprint=None)
        for task, task_id in zip(new, ids, strict=True)
    ]


_ADDING = Batch(_add, at_once=_add_at_once)
_ADDING_BY_KEY = Batch(_add_by_key)
_COALESCING = Batch(_coalesce)


def _kind_of(task: NewTask) -> Literal["new", "by key", "coalesced"]:
    if task.coalescing_key is not None:
        return "coalesced"
    return "new" if task.idempotency_key is None else "by key"


def _key_of(task: NewTask) -> tuple[str, str, str, str]:
    assert task.idempotency_key is not None
    return task.principal, task.tenant, task.operation, task.idempotency_key


def _equality_of(task: NewTask) -> tuple[str, str, str, str]:
    assert task.coalescing_key is not None
    return task.principal, task.tenant, task.operation, task.coalescing_key


_BOUNDED: dict[str, Batch[Any, Any]] = {
    name: Batch(within_bounds(kind))
    for name, kind in {
        "new": Kind(_add, lambda task: task.id, None),
        "by key": Kind(_add_by_key, _key_of, _BY_KEY.with_for_update(read=True, key_share=True)),
        "coalesced": Kind(_coalesce, _equality_of, _UNFINISHED),
    }.items()
}


async def _one(connection: AsyncConnection, task_id: UUID, statement: Any) -> Task:
    try:
        row = (await connection.execute(statement, {"task_id": task_id})).mappings().one_or_none()
    except UNREADABLE as error:
        raise TaskUnreadableError(task_id) from error
    if row is None:
        raise TaskNotFoundError(task_id)
    return Task.of_row(row)


async def _change(connection: AsyncConnection, task: Task, values: dict[str, Any]) -> Task:
    changed = await connection.execute(
        update(tasks)
        .where(tasks.c.id == task.id)
        .values(version=tasks.c.version + 1, **values)
        .returning(tasks)
    )
    return Task.of_row(changed.mappings().one())
