"""Tasks by their labels: the condition on a row, and how those are found that hardly any has.

PostgreSQL keeps no statistics of a partial index, so it takes any labels to be those of one task in
a hundred. In a large table it therefore walks by the key until a page is full: that is all of the
table for labels that few tasks have. To force it to the index on labels would be as dear for those
that many have, as that gives all of them, in no order. So the index is asked first, for no more
than `FEW`, and not even that where tasks with the labels lie `NEAR`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Uuid,
    and_,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB

from asynctasks.statements.conditions import tasks

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import FromClause, ScalarSelect, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

NEAR = 5_000
"""Tasks walked through first: a page that these fill is found without a look at the index."""
FEW = 5_000
"""Tasks that the index may give. Of more, the next ones are found sooner by a walk."""


Parts = Sequence[Sequence[ColumnElement[bool]]]
"""Conditions on a row, all of one part of which hold."""


def with_labels(parts: Parts, wanted: Mapping[str, str], dialect: str) -> Parts:
    """The same, of tasks that have all of the labels."""
    return [[*part, *_has(wanted, dialect)] for part in parts] if wanted else parts


async def first_of_few(
    connection: AsyncConnection,
    labels: Mapping[str, str],
    parts: Parts,
    *,
    size: int,
    newest_first: bool,
) -> Sequence[UUID] | None:
    """The ids of the first that have the labels and fit one of the parts, where these are few.

    None where a walk by the key finds them sooner, and where no labels are wanted.
    """
    if not labels or connection.dialect.name == "sqlite":
        return None
    return await connection.scalar(_first_of_few(labels, parts, size, newest_first=newest_first))


def _first_of_few(
    labels: Mapping[str, str],
    parts: Parts,
    size: int,
    *,
    newest_first: bool,
) -> Select[Any]:
    is_labelled = and_(*_has(labels, "postgresql"))
    walks = [
        _in_order(
            select(is_labelled.label("fits")).where(*part), tasks, newest_first=newest_first
        ).limit(NEAR)
        for part in parts
    ]
    near = union_all(*(select(walk.subquery()) for walk in walks)).subquery()
    fits_near = select(near.c.fits).where(near.c.fits).limit(size).subquery()
    # Referred to twice, a CTE is made once, by itself: in it, the order is no reason to walk.
    few = (
        select(tasks.c.id)
        .where(is_labelled, or_(*(and_(true(), *part) for part in parts)))
        .limit(FEW + 1)
        .cte("few")
    )
    first = (
        _in_order(select(few.c.id), few, newest_first=newest_first).limit(size).scalar_subquery()
    )
    ids = type_coerce(func.array(first), ARRAY(Uuid()))
    return select(case((and_(_count(fits_near) < size, _count(few) <= FEW), ids)))


def _has(wanted: Mapping[str, str], dialect: str) -> list[ColumnElement[bool]]:
    if dialect == "sqlite":
        return [tasks.c.labels[name].as_string() == value for name, value in wanted.items()]
    # As its index has them, or it would not be used.
    labels = cast(tasks.c.labels, JSONB)
    return [labels.contains(wanted), literal_column("labels::text <> '{}'", Boolean)]


def _in_order(selected: Select[Any], source: FromClause, *, newest_first: bool) -> Select[Any]:
    return selected.order_by(source.c.id.desc() if newest_first else source.c.id)


def _count(rows: FromClause) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows).scalar_subquery()
