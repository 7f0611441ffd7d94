"""The statements on the task table that a proxy makes: add, find, publish what is due.

Writes go through GroupCommit, so each batch is one statement for many callers and may be repeated.
The executor's statements are in `asynctasks.claims`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import bindparam, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from asynctasks.errors import TaskNotFoundError
from asynctasks.instants import seconds_from_now
from asynctasks.task import Task, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.database import Database
    from asynctasks.group_commit import GroupCommit

tasks = SQLModel.metadata.tables["tasks"]


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """What the proxy has decided about a task before it is stored."""

    id: UUID
    operation: str
    queue: str
    arguments: dict[str, Any]
    sealed_arguments: str | None
    max_attempts: int
    created_at: datetime
    publish_in_seconds: float
    """When the relay publishes it, if the proxy that stores it cannot."""
    reply_to: str | None = None
    principal: str = ""
    idempotency_key: str | None = None
    fingerprint: str | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    delay_seconds: float | None = None
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """The task that a submission led to: a new one, or the one that has its idempotency key."""

    id: UUID
    is_new: bool
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class DueTask:
    """A queued task whose message has to be published (again)."""

    id: UUID
    operation: str
    queue: str
    reply_to: str | None


class TaskStore:
    """The task table as a proxy uses it. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database, commits: GroupCommit) -> None:
        self._database = database
        self._commits = commits

    async def add(self, task: NewTask) -> Added:
        """Store and commit the task, unless its idempotency key is known already."""
        return await self._commits.write(add_tasks, task)

    async def find(self, task_id: UUID) -> Task:
        """The task as it stands; raises TaskNotFoundError."""
        async with self._database.read() as connection:
            row = (await connection.execute(_FIND, {"id": task_id})).mappings().one_or_none()
        if row is None:
            raise TaskNotFoundError(task_id)
        return Task(**row)

    async def finished_among(self, task_ids: Sequence[UUID]) -> list[UUID]:
        """Those of the tasks that have finished."""
        async with self._database.read() as connection:
            return list((await connection.execute(_FINISHED, {"ids": task_ids})).scalars())

    async def take_due(self, *, limit: int, again_in_seconds: float) -> list[DueTask]:
        """Queued tasks that are due, each given to one caller, who publishes them.

        A task that is still queued after `again_in_seconds` is due again.
        """
        async with self._database.write() as connection:
            rows = await connection.execute(
                _TAKE_DUE, {"max_rows": limit, "again_in_seconds": again_in_seconds}
            )
            return [DueTask(**row) for row in rows.mappings()]

    async def make_due(self, task_ids: Sequence[UUID]) -> None:
        """Let the relay publish these at once: publishing them has just failed."""
        async with self._database.write() as connection:
            await connection.execute(_MAKE_DUE, {"ids": task_ids})


_FIND = select(tasks).where(tasks.c.id == bindparam("id"))
_FINISHED = select(tasks.c.id).where(
    tasks.c.id.in_(bindparam("ids", expanding=True)), tasks.c.finished_at.is_not(None)
)

_DUE = (
    select(tasks.c.id)
    .where(tasks.c.status == TaskStatus.QUEUED, tasks.c.next_publish_at <= seconds_from_now(0.0))
    .order_by(tasks.c.next_publish_at)
    .limit(bindparam("max_rows"))
    .with_for_update(skip_locked=True)
)
# Bookkeeping that nobody sees: it is no change of the task, so `version` stays.
_TAKE_DUE = (
    update(tasks)
    .where(tasks.c.id.in_(_DUE))
    .values(next_publish_at=seconds_from_now(bindparam("again_in_seconds")))
    .returning(tasks.c.id, tasks.c.operation, tasks.c.queue, tasks.c.reply_to)
)
_MAKE_DUE = (
    update(tasks)
    .where(tasks.c.id.in_(bindparam("ids", expanding=True)), tasks.c.status == TaskStatus.QUEUED)
    .values(next_publish_at=seconds_from_now(0.0))
)

_NEW = {
    "status": TaskStatus.QUEUED,
    "run_after": seconds_from_now(bindparam("delay_seconds")),
    "next_publish_at": seconds_from_now(bindparam("publish_in_seconds")),
} | {
    name: bindparam(name, type_=tasks.c[name].type)
    for name in NewTask.__dataclass_fields__
    if name in tasks.c
}
_ADD = {
    "postgresql": postgresql.insert(tasks).values(_NEW).on_conflict_do_nothing(),
    "sqlite": sqlite.insert(tasks).values(_NEW).on_conflict_do_nothing(),
}
_KEY = tuple_(tasks.c.principal, tasks.c.operation, tasks.c.idempotency_key)
_BY_KEY = select(
    tasks.c.id, tasks.c.fingerprint, tasks.c.principal, tasks.c.operation, tasks.c.idempotency_key
).where(_KEY.in_(bindparam("keys", expanding=True)))


async def add_tasks(connection: AsyncConnection, new: Sequence[NewTask]) -> list[Added]:
    """Insert the tasks; one whose idempotency key is taken leads to the task that has it."""
    # In one order everywhere: two proxies that insert the same keys must not wait for each other.
    ordered = sorted(new, key=lambda task: task.idempotency_key or "")
    await connection.execute(_ADD[connection.dialect.name], [vars(task) for task in ordered])
    keys = {_key_of(task) for task in new if task.idempotency_key is not None}
    known: dict[tuple[str, str, str | None], Any] = {}
    if keys:
        rows = await connection.execute(_BY_KEY, {"keys": list(keys)})
        known = {(row.principal, row.operation, row.idempotency_key): row for row in rows}
    return [_added(task, known.get(_key_of(task))) for task in new]


def _key_of(task: NewTask) -> tuple[str, str, str | None]:
    return task.principal, task.operation, task.idempotency_key


def _added(task: NewTask, keyed: Any) -> Added:
    if keyed is None:
        return Added(task.id, is_new=True, fingerprint=task.fingerprint)
    return Added(keyed.id, is_new=keyed.id == task.id, fingerprint=keyed.fingerprint)
