"""What a start costs of the rates that its operation's limits have, and how it is paid on SQLite.

On PostgreSQL the claim itself pays: see `hot_claims`.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import sqlite
from sqlmodel import SQLModel

from asynctasks.instants import seconds_from_this_moment, utc_now
from asynctasks.limit_rows import LimitKeyRow, LimitRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.limits.gates import Gates
    from asynctasks.limits.limit import Bounds
    from asynctasks.operations.operation import Operation

limits = SQLModel.metadata.tables[str(LimitRow.__tablename__)]
limit_keys = SQLModel.metadata.tables[str(LimitKeyRow.__tablename__)]


class StartRate(NamedTuple):
    """That a start of the operation takes so long of a limit's time."""

    operation: str
    limit: str
    is_of_key: bool
    """Whether of the time of each who shares it; else of all together."""
    seconds: float
    """From one start to the next at the rate."""


def start_rates(operations: Iterable[Operation], gates: Gates | None) -> list[StartRate]:
    """What starts of these operations cost, by the limits as they are in effect."""
    found: list[StartRate] = []
    for operation in operations:
        for declared in operation.declared_limits:
            limit = declared if gates is None else gates.in_effect(declared)
            for bounds, is_of_key in ((limit, False), (limit.per_key, True)):
                if bounds is not None and bounds.rate_per_second is not None:
                    seconds = 1 / bounds.rate_per_second
                    found.append(StartRate(operation.name, limit.name, is_of_key, seconds))
    return found


async def spend_starts(
    connection: AsyncConnection, rates: Sequence[StartRate], claimed: Sequence[RowMapping]
) -> None:
    """Pay for the tasks that were just claimed, polls apart; one process writes at a time."""
    spent: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for task in claimed:
        if task["upstream_job"] is None:
            for rate in rates:
                if rate.operation == task["operation"]:
                    key = (task["fair_key"],) if rate.is_of_key else ()
                    spent[rate.limit, *key] += rate.seconds
    for of, seconds in spent.items():
        await _spend(connection, of, seconds)


async def forgive(
    connection: AsyncConnection, counted: Mapping[tuple[str, ...], tuple[Bounds, float]]
) -> None:
    """Forget what holds others longer than these bounds may: another rate has counted it.

    By limit, or by limit and key: the bounds, and in how many seconds its starts are spread evenly.
    """
    for of, (bounds, allowed_in_seconds) in sorted(counted.items(), key=itemgetter(0)):
        owed = bounds.owed_seconds(allowed_in_seconds)
        if bounds.rate_per_second is not None and owed < allowed_in_seconds:
            names = dict(zip(("of_name", "of_key"), of, strict=False))
            statement = _FORGIVE if len(of) == 1 else _FORGIVE_KEY
            await connection.execute(statement, {**names, "owed_seconds": owed})


async def _spend(connection: AsyncConnection, of: tuple[str, ...], seconds: float) -> None:
    known, insert = (_KNOWN, _SPEND) if len(of) == 1 else (_KNOWN_OF_KEY, _SPEND_OF_KEY)
    names: dict[str, Any] = dict(zip(("name", "key"), of, strict=False))
    now = utc_now()
    allowed_at: datetime | None = await connection.scalar(known, names)
    spent = max(allowed_at or now, now) + timedelta(seconds=seconds)
    await connection.execute(insert, {**names, "allowed_at": spent})


def _known(table: Any, *columns: str) -> Any:
    return select(table.c.allowed_at).where(*(table.c[name] == bindparam(name) for name in columns))


def _spending(table: Any, *columns: str) -> Any:
    new = sqlite.insert(table).values(
        allowed_at=bindparam("allowed_at", type_=table.c.allowed_at.type),
        **{name: bindparam(name) for name in columns},
    )
    return new.on_conflict_do_update(
        index_elements=[table.c[name] for name in columns],
        set_={"allowed_at": new.excluded.allowed_at},
    )


_KNOWN, _SPEND = _known(limits, "name"), _spending(limits, "name")
_KNOWN_OF_KEY = _known(limit_keys, "name", "key")
_SPEND_OF_KEY = _spending(limit_keys, "name", "key")

# By the clock as it is now: a transaction that has waited for the lock took its time before that.
_OWED_UNTIL = seconds_from_this_moment(bindparam("owed_seconds"))


def _forgiving(table: Any, **columns: str) -> Any:
    is_it = (table.c[column] == bindparam(name) for column, name in columns.items())
    return (
        update(table).where(*is_it, table.c.allowed_at > _OWED_UNTIL).values(allowed_at=_OWED_UNTIL)
    )


_FORGIVE = _forgiving(limits, name="of_name")
_FORGIVE_KEY = _forgiving(limit_keys, name="of_name", key="of_key")
