"""Tasks by their labels: the condition on a row, and how those are found that hardly any has.

PostgreSQL keeps no statistics of a partial index, so it takes any labels to be those of one task in
a hundred. In a large table it therefore walks by the key until a page is full: that is all of the
table for labels that few tasks have. To force it to the index on labels would be as dear for those
that many have, as that gives all of them, in no order. So the index is asked first, for no more
than `FEW`, and not even that where many of the newest tasks have the labels.
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
    any_,
    case,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB

from asynctasks.statements.conditions import tasks

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import FromClause, ScalarSelect, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

NEAR = 5_000
"""Of the newest tasks: labels are common where those of them that have all would fill a page."""
FEW = 5_000
"""Tasks that the index may give. Where more have the labels, a walk finds some of them sooner."""
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
    """The ids of the first that fit one of the parts, where few tasks have the labels.

    None where many have them, so that a walk by the key finds them soon, and where none are wanted.
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
    near = select(is_labelled.label("fits")).order_by(tasks.c.id.desc()).limit(NEAR).subquery()
    fit_near = select(near.c.fits).where(near.c.fits).limit(size).subquery()
    # By nothing else: of two conditions PostgreSQL may take the other one to be the rarer.
    few = select(tasks.c.id).where(is_labelled).limit(FEW + 1).cte("few")
    # In a join it might walk by the key again, to have the order.
    is_one = tasks.c.id == any_(_ids(select(few.c.id)))
    first = (
        select(tasks.c.id)
        .where(is_one, or_(false(), *(and_(true(), *part) for part in parts)))
        .order_by(tasks.c.id.desc() if newest_first else tasks.c.id)
        .limit(size)
    )
    return select(case((and_(_count(fit_near) < size, _count(few) <= FEW), _ids(first))))


def _ids(selected: Select[Any]) -> ColumnElement[Sequence[UUID]]:
    return type_coerce(func.array(selected.scalar_subquery()), ARRAY(Uuid()))


def _count(rows: FromClause) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def _has(wanted: Mapping[str, str], dialect: str) -> list[ColumnElement[bool]]:
    if dialect == "sqlite":
        return [tasks.c.labels[name].as_string() == value for name, value in wanted.items()]
    # As its index has them, or it would not be used.
    labels = cast(tasks.c.labels, JSONB)
    return [labels.contains(wanted), literal_column("labels::text <> '{}'", Boolean)]
