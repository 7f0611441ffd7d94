"""The statements on places that processes have taken ahead: reserve, take one, take all back.

A place is taken in the transaction that adds its task, so that in every snapshot what is left and
what is in hand together are what was reserved. Whoever takes them all back waits for those that are
being taken, and counts after that. Rows are locked in the order of their keys, after limits and
before tasks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from asynctasks.instants import seconds_from_now
from asynctasks.limit_rows import ReservedPlacesRow
from asynctasks.statements.id_list import is_one_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.operations.new_task import NewTask

IDLE_SECONDS = 60.0
"""After so long without a refill they are taken for those of a process that is gone."""

reserved = SQLModel.metadata.tables[str(ReservedPlacesRow.__tablename__)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What a process reserves places for: its tasks of one operation and key."""

    holder: str
    operation: str
    fair_key: str


async def lock(connection: AsyncConnection, reservation: Reservation) -> None:
    """Let none of these places be taken until the transaction ends."""
    await connection.execute(_LOCK, _key(reservation))


async def reserve(connection: AsyncConnection, reservation: Reservation, places: int) -> None:
    """Leave so many places of it from now on, whatever there were."""
    statement = _RESERVE[connection.dialect.name]
    values = {**_key(reservation), "places": places}
    await connection.execute(statement, values)


async def take(connection: AsyncConnection, new: Sequence[NewTask]) -> None:
    """Have each of the tasks start at once whose place is still there, and hold the others."""
    asked = Counter(_place(task) for task in new if task.place_of is not None)
    taken: set[tuple[str, str, str]] = set()
    for (operation, fair_key, holder), places in sorted(asked.items()):
        key = {"of_operation": operation, "of_key": fair_key, "by": holder}
        found = await connection.execute(_TAKE, {**key, "taken": places})
        if found.rowcount:
            taken.add((operation, fair_key, holder))
    for task in new:
        if task.place_of is not None:
            task.start_at_once(has_place=_place(task) in taken)


async def take_back(connection: AsyncConnection, operations: Collection[str]) -> None:
    """Leave nobody a place of these operations."""
    await connection.execute(_TAKE_BACK, {"operations": operations})


async def take_all_back(connection: AsyncConnection) -> None:
    """Leave nobody any: what was let go by what held until now is not to go on."""
    await connection.execute(_TAKE_ALL_BACK)


async def forget_idle(connection: AsyncConnection) -> None:
    """Take back those of processes that are gone."""
    await connection.execute(_FORGET)


def _key(reservation: Reservation) -> dict[str, Any]:
    return {
        "of_operation": reservation.operation,
        "of_key": reservation.fair_key,
        "by": reservation.holder,
    }


def _place(task: NewTask) -> tuple[str, str, str]:
    return task.operation, task.fair_key, task.place_of or ""


_PRIMARY_KEY = (reserved.c.operation, reserved.c.fair_key, reserved.c.holder)
_IS_THEIRS = (
    reserved.c.operation == bindparam("of_operation"),
    reserved.c.fair_key == bindparam("of_key"),
    reserved.c.holder == bindparam("by"),
)
_LOCK = select(reserved.c.places).where(*_IS_THEIRS).with_for_update()
_TAKE = (
    update(reserved)
    .where(*_IS_THEIRS, reserved.c.places >= bindparam("taken"))
    .values(places=reserved.c.places - bindparam("taken"))
)


def _delete(*conditions: Any) -> Any:
    found = select(*_PRIMARY_KEY).where(*conditions).order_by(*_PRIMARY_KEY).with_for_update()
    return delete(reserved).where(tuple_(*_PRIMARY_KEY).in_(found))


_TAKE_BACK = _delete(is_one_of(reserved.c.operation, "operations"))
_TAKE_ALL_BACK = _delete()
_FORGET = _delete(reserved.c.reserved_at < seconds_from_now(-IDLE_SECONDS))


def _reserve(insert: Any) -> Any:
    new = insert(reserved).values(
        operation=bindparam("of_operation"),
        fair_key=bindparam("of_key"),
        holder=bindparam("by"),
        places=bindparam("places"),
        reserved_at=seconds_from_now(0.0),
    )
    return new.on_conflict_do_update(
        index_elements=list(_PRIMARY_KEY),
        set_={name: new.excluded[name] for name in ("places", "reserved_at")},
    )


_RESERVE = {"postgresql": _reserve(postgresql.insert), "sqlite": _reserve(sqlite.insert)}
