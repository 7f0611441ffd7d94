"""The statements on the task table that the mirror makes: what to show as AsyncTask objects.

Everything here has a partial index, so its cost grows with what is live and what has to be shown,
never with what is kept. Marks are bookkeeping that nobody sees: they bump no `version`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Float,
    Integer,
    String,
    bindparam,
    func,
    select,
    text,
    union_all,
    update,
)

from asynctasks.instants import seconds_from_now
from asynctasks.statements.conditions import (
    HAS_NO_MESSAGE,
    IS_PUBLISHED,
    IS_RUNNING,
    SHOWN_STATUS,
    WAITS_FOR_POLL,
    is_status,
    tasks,
)
from asynctasks.statements.id_list import is_one_of
from asynctasks.task import STALE, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from uuid import UUID

    from asynctasks.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredTask:
    """What of a task's row may be shown to all who may look at AsyncTask objects."""

    id: UUID
    version: int
    mirrored_version: int
    operation: str
    queue: str
    status: TaskStatus
    attempt: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    executor: str | None
    cancel_requested: bool
    asynctask: str | None
    progress: int | None
    message: str | None
    response_status: int | None
    error: dict[str, Any] | None


class Mirroring:
    """The task table as the mirror uses it. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def changed(self, *, limit: int) -> list[MirroredTask]:
        """Tasks whose object shows an earlier version; the finished ones first."""
        return await self._tasks(_CHANGED, max_rows=limit)

    async def unsuccessful(self, *, limit: int) -> list[MirroredTask]:
        """Failed, cancelled and expired tasks that have never been shown; the newest first."""
        return await self._tasks(_UNSUCCESSFUL, max_rows=limit)

    async def slow(self, *, min_age_seconds: float, limit: int) -> list[MirroredTask]:
        """Live tasks of at least that age that have no object, running ones first.

        Those that wait for a delayed start or a retry's backoff are among them.
        """
        return await self._tasks(_SLOW, age_seconds=-min_age_seconds, max_rows=limit)

    async def of_ids(self, task_ids: Collection[UUID]) -> list[MirroredTask]:
        """Those of the tasks that there are."""
        return await self._tasks(_OF_IDS, ids=task_ids)

    async def live_of_objects(self, *, after: str, limit: int) -> list[MirroredTask]:
        """Live tasks that people's objects asked for, ordered by `asynctask`, above `after`."""
        return await self._tasks(_OF_OBJECTS, after=after, max_rows=limit)

    async def live_mirrored(self, *, limit: int) -> list[UUID]:
        """Live tasks that are marked as having an object of the mirror's own."""
        async with self._database.read() as connection:
            return list((await connection.execute(_MIRRORED, {"max_rows": limit})).scalars())

    async def count_stale(self, *, limit: int) -> int:
        """How many tasks there are to show anew or at all; counts no further than the limit."""
        async with self._database.read() as connection:
            return (await connection.execute(_COUNT_STALE, {"max_rows": limit})).scalar_one()

    async def mark(self, shown: Mapping[UUID, int]) -> None:
        """Remember which version each object shows; an earlier one than is remembered is not."""
        if not shown:
            return
        # In one order everywhere: two operators for a moment must not wait for each other.
        marks = [{"task_id": one, "shown": shown[one]} for one in sorted(shown)]
        async with self._database.write() as connection:
            await connection.execute(_MARK, marks)

    async def unmark(self, task_ids: Collection[UUID]) -> None:
        """Remember that the tasks have no object."""
        await self._write(_UNMARK, task_ids)

    async def show_again(self, task_ids: Collection[UUID]) -> None:
        """Have these tasks shown anew, whatever is remembered of their objects."""
        await self._write(_SHOW_AGAIN, task_ids)

    async def release_objects(self, namespace: str) -> None:
        """Have the live tasks of a namespace's objects go on without those, as any other task."""
        async with self._database.write() as connection:
            await connection.execute(_RELEASE, {"prefix": f"{namespace}/"})

    async def _tasks(self, statement: Any, **parameters: Any) -> list[MirroredTask]:
        async with self._database.read() as connection:
            rows = await connection.execute(statement, parameters)
            return [MirroredTask(**row) for row in rows.mappings()]

    async def _write(self, statement: Any, task_ids: Collection[UUID]) -> None:
        if task_ids:
            async with self._database.write() as connection:
                await connection.execute(statement, {"ids": sorted(task_ids)})


_COLUMNS = [
    SHOWN_STATUS if name == "status" else tasks.c[name]
    for name in MirroredTask.__dataclass_fields__
]
_MAX_ROWS: Any = bindparam("max_rows", type_=Integer())
# The whole condition by its own words: SQLite knows the index by nothing else.
_IS_STALE = text(STALE)
_HAS_OBJECT = tasks.c.mirrored_version > 0
_LIVE = (IS_RUNNING, IS_PUBLISHED, HAS_NO_MESSAGE, WAITS_FOR_POLL)
"""One condition for each partial index of live tasks: a query with OR would use none."""


def _live(columns: Any, *conditions: Any) -> Any:
    parts = [
        # A subquery each, since SQLite takes no LIMIT within a union.
        select(select(*columns).where(which, *conditions).limit(_MAX_ROWS).subquery())
        for which in _LIVE
    ]
    return union_all(*parts).limit(_MAX_ROWS)


_CHANGED = (
    select(*_COLUMNS)
    .where(_IS_STALE, _HAS_OBJECT)
    .order_by(tasks.c.finished_at.is_(None), tasks.c.id)
    .limit(_MAX_ROWS)
)
_UNSUCCESSFUL = (
    select(*_COLUMNS)
    .where(_IS_STALE, tasks.c.mirrored_version == 0)
    .order_by(tasks.c.id.desc())
    .limit(_MAX_ROWS)
)
_SLOW = _live(
    _COLUMNS,
    tasks.c.mirrored_version == 0,
    tasks.c.created_at <= seconds_from_now(bindparam("age_seconds", type_=Float())),
)
_MIRRORED = _live([tasks.c.id], _HAS_OBJECT, tasks.c.asynctask.is_(None))
_OF_IDS = select(*_COLUMNS).where(is_one_of(tasks.c.id))
_OF_OBJECTS = (
    select(*_COLUMNS)
    .where(
        tasks.c.asynctask.is_not(None),
        is_status(TaskStatus.QUEUED, TaskStatus.RUNNING),
        tasks.c.asynctask > bindparam("after", type_=String()),
    )
    .order_by(tasks.c.asynctask)
    .limit(_MAX_ROWS)
)
_COUNT_STALE = select(func.count()).select_from(
    select(tasks.c.id).where(_IS_STALE).limit(_MAX_ROWS).subquery()
)
_MARK = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id"), tasks.c.mirrored_version < bindparam("shown"))
    .values(mirrored_version=bindparam("shown"))
)
_UNMARK = update(tasks).where(is_one_of(tasks.c.id)).values(mirrored_version=0)
_RELEASE = (
    update(tasks)
    .where(
        tasks.c.asynctask.is_not(None),
        is_status(TaskStatus.QUEUED, TaskStatus.RUNNING),
        tasks.c.asynctask.startswith(bindparam("prefix", type_=String())),
    )
    .values(asynctask=None, mirrored_version=0)
)
# One below, so that it is stale; a version of 1 is a queued task's, which is then as good as new.
_SHOW_AGAIN = (
    update(tasks).where(is_one_of(tasks.c.id)).values(mirrored_version=tasks.c.version - 1)
)
