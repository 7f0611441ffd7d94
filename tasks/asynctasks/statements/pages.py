"""Pages of the task table: so many tasks, the newest first, and no more than so many bytes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    Uuid,
    and_,
    any_,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)

from asynctasks.statements.conditions import (
    HAS_NO_MESSAGE,
    IS_PUBLISHED,
    IS_RUNNING,
    WAITS_FOR_JOB,
    is_status,
    tasks,
)
from asynctasks.statements.labelled import first_of_few, with_labels
from asynctasks.statements.owners import is_listed, is_of_principal, is_of_tenant
from asynctasks.statements.shown import View, shown_bytes, shown_columns
from asynctasks.task import TYPE_OF_ERROR, Task, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.statements.labelled import Parts
    from asynctasks.statements.owners import Listed

UNREADABLE = (LookupError, TypeError, ValueError)
"""What the columns' types raise at an unknown status, at JSON or an instant that is none."""
PAGE_BYTES = 4 * 1024 * 1024
"""Of arguments, headers and bodies in one page, beyond which it ends early; one task is always on
it."""


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
    view: View
    """What of each task was read."""


async def read_page(
    connection: AsyncConnection, which: Filter, *, before: UUID | None, size: int, view: View
) -> Page:
    """The newest tasks that fit, below the id `before`."""
    if which.listed is not None and not which.listed:
        return Page([], following=None, unreadable=[], view=view)
    dialect = connection.dialect.name
    below: list[ColumnElement[bool]] = [] if before is None else [tasks.c.id < before]
    parts = [[*part, *below] for part in disjoint(which, dialect)]
    few = await first_of_few(connection, which.labels, parts, size=size, newest_first=True)
    if few is None:
        return await _read(connection, with_labels(parts, which.labels, dialect), size, view)
    page = await _read(connection, [[tasks.c.id == any_(literal(few, ARRAY(Uuid())))]], size, view)
    if page.following is None and len(few) == size:
        # One has been deleted since, and there may be more behind them.
        return replace(page, following=few[-1])
    return page


async def _read(connection: AsyncConnection, parts: Parts, size: int, view: View) -> Page:
    dialect = connection.dialect.name
    newest = _newest(parts, size, dialect, view)
    columns = _columns(dialect, view)
    try:
        rows = (await connection.execute(newest.add_columns(*columns))).mappings().all()
    except UNREADABLE:
        keys = (await connection.execute(newest.add_columns(tasks.c.id))).mappings().all()
        return await _page_by_one(connection, keys, size=size, view=view)
    names = [column.name for column in columns]
    found = [Task.of_row({name: row[name] for name in names}) for row in rows]
    return Page(found, following=_following(rows, size), unreadable=[], view=view)


def _newest(parts: Parts, size: int, dialect: str, view: View) -> Select[Any]:
    """Those within the bytes; `candidates` is how many there would be without that bound."""
    sized = _sized(parts, size, dialect, view).subquery()
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


def _sized(parts: Parts, size: int, dialect: str, view: View) -> Select[Any]:
    """The newest of all, and how large they are."""
    bytes_of_row = shown_bytes(dialect, view).label("bytes")
    firsts = [_first(part, size, bytes_of_row) for part in parts]
    if len(firsts) == 1:
        return firsts[0]
    together = union_all(*(select(first.subquery()) for first in firsts)).subquery()
    return select(together).order_by(together.c.id.desc()).limit(size)


def _first(
    conditions: Sequence[ColumnElement[bool]], size: int, bytes_of_row: ColumnElement[int]
) -> Select[Any]:
    columns: list[ColumnElement[Any]] = [tasks.c.id, bytes_of_row]
    return select(*columns).where(*conditions).order_by(tasks.c.id.desc()).limit(size)


def disjoint(which: Filter, dialect: str) -> list[list[ColumnElement[bool]]]:
    """The conditions of each part of what fits, but for its labels.

    Each has an index of its own, which one query with OR would not use.
    """
    conditions = _conditions(which, dialect)
    if which.listed is None:
        return [conditions]
    return [[*conditions, *is_listed(part, dialect)] for part in which.listed]


@cache
def _columns(dialect: str, view: View) -> list[ColumnElement[Any]]:
    return shown_columns(dialect, view)


def _following(rows: Sequence[Any], size: int) -> UUID | None:
    """None where all that fit are there."""
    if not rows:
        return None
    candidates = rows[0]["candidates"]
    return rows[-1]["id"] if candidates == size or candidates > len(rows) else None


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
        # It was created before that: else all that is younger would be read.
        conditions.append(tasks.c.id < _id_at(which.finished_before, _SECONDS_BETWEEN_CLOCKS))
    return conditions


async def _page_by_one(
    connection: AsyncConnection, keys: Sequence[Any], *, size: int, view: View
) -> Page:
    """A page with a row that cannot be read, and no way to tell which but to read each alone."""
    page = Page([], following=_following(keys, size), unreadable=[], view=view)
    columns = _columns(connection.dialect.name, view)
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
_SECONDS_BETWEEN_CLOCKS = 60
"""The proxy's, by which ids are made, and the database's, by which tasks finish: likewise."""


def _id_at(instant: datetime, seconds_later: int) -> UUID:
    """Below which no id of then or later is, and above which none of before."""
    milliseconds = int(instant.timestamp() * 1000) + 1000 * seconds_later
    return UUID(int=max(0, milliseconds) << 80)
