"""Pages of the task table: so many tasks, the newest first, and no more than so many bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, and_, cast, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from asynctasks.statements.conditions import (
    IS_QUEUED,
    IS_RUNNING,
    WAITS_FOR_JOB,
    is_status,
    tasks,
)
from asynctasks.statements.shown import shown_bytes, shown_columns
from asynctasks.task import Task, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

UNREADABLE = (LookupError, TypeError, ValueError)
"""What the columns' types raise at an unknown status, at JSON or an instant that is none."""
PAGE_BYTES = 4 * 1024 * 1024
"""Of bodies in one page, beyond which it ends early; one task is always on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which tasks to list; what is None is not looked at."""

    status: TaskStatus | None = None
    operation: str | None = None
    label: tuple[str, str] | None = None
    created_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of tasks, the newest first."""

    tasks: list[Task]
    following: UUID | None
    """The id below which the next page begins; None where this one is the last."""
    unreadable: list[UUID]
    """Those whose rows cannot be read; they are left out."""


async def read_page(
    connection: AsyncConnection, which: Filter, *, before: UUID | None, size: int
) -> Page:
    """The newest tasks that fit, below the id `before`."""
    dialect = connection.dialect.name
    newest = _newest(which, before, size, dialect)
    try:
        rows = (await connection.execute(newest.add_columns(*_columns(dialect)))).mappings().all()
    except UNREADABLE:
        keys = (await connection.execute(newest.add_columns(tasks.c.id))).mappings().all()
        return await _page_by_one(connection, keys, size=size)
    names = [column.name for column in _columns(dialect)]
    found = [Task.of_row({name: row[name] for name in names}) for row in rows]
    return Page(found, following=_following(rows, size), unreadable=[])


def _newest(which: Filter, before: UUID | None, size: int, dialect: str) -> Select[Any]:
    """Those within the bytes; `candidates` is how many there would be without that bound."""
    sized = (
        select(tasks.c.id, shown_bytes(dialect).label("bytes"))
        .where(*_conditions(which, before, dialect))
        .order_by(tasks.c.id.desc())
        .limit(size)
        .subquery()
    )
    added = func.sum(sized.c.bytes).over(order_by=sized.c.id.desc()) - sized.c.bytes
    bounded = select(
        sized.c.id, added.label("before_it"), func.count().over().label("candidates")
    ).subquery()
    return (
        select(bounded.c.candidates)
        .join_from(bounded, tasks, tasks.c.id == bounded.c.id)
        .where(bounded.c.before_it < PAGE_BYTES)
        .order_by(tasks.c.id.desc())
    )


@cache
def _columns(dialect: str) -> list[ColumnElement[Any]]:
    return shown_columns(dialect)


def _following(rows: Sequence[Any], size: int) -> UUID | None:
    """None where all that fit are there."""
    if not rows:
        return None
    candidates = rows[0]["candidates"]
    return rows[-1]["id"] if candidates == size or candidates > len(rows) else None


def _has_label(name: str, value: str, dialect: str) -> list[ColumnElement[bool]]:
    if dialect == "sqlite":
        return [tasks.c.labels[name].as_string() == value]
    # As its index has them, or it would not be used.
    labels = cast(tasks.c.labels, JSONB)
    return [labels.contains({name: value}), literal_column("labels::text <> '{}'", Boolean)]


def _is_shown_as(status: TaskStatus) -> ColumnElement[bool]:
    if status is TaskStatus.RUNNING:
        return or_(IS_RUNNING, WAITS_FOR_JOB)
    if status is TaskStatus.QUEUED:
        return and_(IS_QUEUED, tasks.c.upstream_job.is_(None))
    return is_status(status)


def _conditions(which: Filter, before: UUID | None, dialect: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if before is not None:
        conditions.append(tasks.c.id < before)
    if which.status is not None:
        conditions.append(_is_shown_as(which.status))
    if which.operation is not None:
        conditions.append(tasks.c.operation == which.operation)
    if which.label is not None:
        conditions += _has_label(*which.label, dialect)
    if which.created_after is not None:
        # What is older lies below it by the key, so a filter that finds nothing ends there.
        conditions.append(tasks.c.created_at > which.created_after)
        conditions.append(tasks.c.id >= _first_id_since(which.created_after))
    return conditions


async def _page_by_one(connection: AsyncConnection, keys: Sequence[Any], *, size: int) -> Page:
    """A page with a row that cannot be read, and no way to tell which but to read each alone."""
    page = Page([], following=_following(keys, size), unreadable=[])
    columns = _columns(connection.dialect.name)
    for key in keys:
        one = select(*columns).where(tasks.c.id == key["id"])
        try:
            row = (await connection.execute(one)).mappings().one_or_none()
        except UNREADABLE:
            page.unreadable.append(key["id"])
        else:
            if row is not None:  # else it was deleted meanwhile
                page.tasks.append(Task.of_row(row))
    return page


def _first_id_since(instant: datetime) -> UUID:
    """No task that was created then or later has a lower id; a second for making both is ample."""
    milliseconds = int(instant.timestamp() * 1000) - 1000
    return UUID(int=max(0, milliseconds) << 80)
