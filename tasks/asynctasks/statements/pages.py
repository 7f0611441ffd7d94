"""Pages of the task table: so many tasks, the newest first, and no more than so many bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Text,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB

from asynctasks.statements.conditions import (
    HAS_NO_MESSAGE,
    IS_PUBLISHED,
    IS_RUNNING,
    WAITS_FOR_JOB,
    is_status,
    tasks,
)
from asynctasks.statements.owners import is_listed, is_of_principal, is_of_tenant
from asynctasks.statements.shown import shown_bytes, shown_columns
from asynctasks.task import TYPE_OF_ERROR, Task, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.statements.owners import Listed

UNREADABLE = (LookupError, TypeError, ValueError)
"""What the columns' types raise at an unknown status, at JSON or an instant that is none."""
PAGE_BYTES = 4 * 1024 * 1024
"""Of bodies in one page, beyond which it ends early; one task is always on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which tasks to list; what is None is not looked at."""

    status: TaskStatus | None = None
    operation: str | None = None
    principal: str | None = None
    tenant: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """All of which it has."""
    batch: str | None = None
    error_type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    listed: Sequence[Listed] | None = None
    """Of these alone, which are disjoint: what whoever asks may see."""


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
    if which.listed is not None and not which.listed:
        return Page([], following=None, unreadable=[])
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
    sized = _sized(which, before, size, dialect).subquery()
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


def _sized(which: Filter, before: UUID | None, size: int, dialect: str) -> Select[Any]:
    """The newest of all, and how large they are."""
    parts = [_first(part, before, size, dialect) for part in disjoint(which, dialect)]
    if len(parts) == 1:
        return parts[0]
    all_parts = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return select(all_parts).order_by(all_parts.c.id.desc()).limit(size)


def disjoint(which: Filter, dialect: str) -> list[list[ColumnElement[bool]]]:
    """The conditions of each part of what fits.

    Each has an index of its own, which one query with OR would not use.
    """
    conditions = _conditions(which, dialect)
    if which.listed is None:
        return [conditions]
    return [[*conditions, *is_listed(part, dialect)] for part in which.listed]


def _first(
    conditions: Sequence[ColumnElement[bool]], before: UUID | None, size: int, dialect: str
) -> Select[Any]:
    if before is not None:
        conditions = [*conditions, tasks.c.id < before]
    columns: list[ColumnElement[Any]] = [tasks.c.id, shown_bytes(dialect).label("bytes")]
    return select(*columns).where(*conditions).order_by(tasks.c.id.desc()).limit(size)


@cache
def _columns(dialect: str) -> list[ColumnElement[Any]]:
    return shown_columns(dialect)


def _following(rows: Sequence[Any], size: int) -> UUID | None:
    """None where all that fit are there."""
    if not rows:
        return None
    candidates = rows[0]["candidates"]
    return rows[-1]["id"] if candidates == size or candidates > len(rows) else None


def _has_labels(wanted: Mapping[str, str], dialect: str) -> list[ColumnElement[bool]]:
    if dialect == "sqlite":
        return [tasks.c.labels[name].as_string() == value for name, value in wanted.items()]
    # As its index has them, or it would not be used.
    labels = cast(tasks.c.labels, JSONB)
    return [labels.contains(wanted), literal_column("labels::text <> '{}'", Boolean)]


def _error_type(dialect: str) -> ColumnElement[str | None]:
    if dialect == "sqlite":
        return tasks.c.error["type"].as_string()
    return literal_column(TYPE_OF_ERROR, Text)


def _is_shown_as(status: TaskStatus, dialect: str) -> ColumnElement[bool]:
    if status is TaskStatus.RUNNING:
        return _either(IS_RUNNING, WAITS_FOR_JOB, dialect)
    if status is TaskStatus.QUEUED:
        # Each of the two has an index, which all that are queued have not.
        is_queued = _either(IS_PUBLISHED, HAS_NO_MESSAGE, dialect)
        return and_(is_queued, tasks.c.upstream_job.is_(None))
    return is_status(status)


def _either(one: Any, other: Any, dialect: str) -> ColumnElement[bool]:
    """One of two conditions that have an index each."""
    if dialect == "sqlite":
        # Of an OR it would use neither index, and read the whole history.
        either = union_all(select(tasks.c.id).where(one), select(tasks.c.id).where(other))
        return tasks.c.id.in_(either)
    return or_(one, other)


def _conditions(which: Filter, dialect: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if which.status is not None:
        conditions.append(_is_shown_as(which.status, dialect))
    if which.operation is not None:
        conditions.append(tasks.c.operation == which.operation)
    if which.principal is not None:
        conditions += is_of_principal(which.principal)
    if which.tenant is not None:
        conditions += is_of_tenant(which.tenant)
    if which.labels:
        conditions += _has_labels(which.labels, dialect)
    if which.batch is not None:
        conditions.append(tasks.c.batch == which.batch)
    if which.error_type is not None:
        conditions.append(_error_type(dialect) == which.error_type)
    return conditions + _in_time(which)


def _in_time(which: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if which.created_after is not None:
        # What is older lies below it by the key, so a filter that finds nothing ends there.
        conditions.append(tasks.c.created_at > which.created_after)
        conditions.append(tasks.c.id >= _id_at(which.created_after, -_SECONDS_BETWEEN))
    if which.created_before is not None:
        conditions.append(tasks.c.created_at < which.created_before)
        conditions.append(tasks.c.id < _id_at(which.created_before, _SECONDS_BETWEEN))
    if which.finished_after is not None:
        conditions.append(tasks.c.finished_at > which.finished_after)
    if which.finished_before is not None:
        conditions.append(tasks.c.finished_at < which.finished_before)
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


_SECONDS_BETWEEN = 1
"""The making of a task's id and its instant: that is ample."""


def _id_at(instant: datetime, seconds_later: int) -> UUID:
    """Below which no id of then or later is, and above which none of before."""
    milliseconds = int(instant.timestamp() * 1000) + 1000 * seconds_later
    return UUID(int=max(0, milliseconds) << 80)
