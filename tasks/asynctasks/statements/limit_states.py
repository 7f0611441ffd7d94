"""The statements on limits and pauses: how they stand, and what is set or noted of them.

A limit has a row from when something is first written about it; until then it stands as declared.
Whoever decides by what a row says and writes it again locks it before, the rows of several limits
in the order of their names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Boolean, bindparam, case, delete, func, or_, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from asynctasks.instants import (
    UtcDateTime,
    seconds_between,
    seconds_from_now,
    seconds_from_this_moment,
    seconds_since,
)
from asynctasks.limit_rows import LimitRow, PausedKind, PauseRow
from asynctasks.limits.breaker import after_failure, after_success
from asynctasks.limits.limit_state import (
    BreakerKind,
    BreakerState,
    LimitState,
    Standing,
    carried_over,
    in_effect,
)
from asynctasks.limits.pauses import Pause, Pauses
from asynctasks.statements.conditions import IS_RUNNING, NOW, WAITS_FOR_JOB, tasks
from asynctasks.statements.id_list import is_one_of
from asynctasks.statements.reserved_places import take_all_back
from asynctasks.statements.start_rates import forgive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.database import Database
    from asynctasks.limits.limit import Breaker, Limit
    from asynctasks.limits.limit_change import LimitChange
    from asynctasks.operations.operation import Operation

limits = SQLModel.metadata.tables[str(LimitRow.__tablename__)]
pauses = SQLModel.metadata.tables[str(PauseRow.__tablename__)]


class _Step(Protocol):
    def __call__(
        self, breaker: Breaker, state: BreakerState, *, ran_seconds: float
    ) -> BreakerState: ...


class LimitStates:
    """The tables of limits and pauses. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, operations: Iterable[Operation]) -> Standing:
        """How the limits of these operations stand, and all that is paused."""
        async with self._database.read() as connection:
            return await _read(connection, limits_of(operations))

    async def read_with_running(self, operations: Collection[Operation]) -> Standing:
        """The same, and how many attempts of each limit run."""
        bounded = {each.name: each for each in operations if each.limits}
        running: dict[str, Counter[str]] = defaultdict(Counter)
        async with self._database.read() as connection:
            standing = await _read(connection, limits_of(operations))
            if bounded:
                counted: Any = await connection.execute(_RUNNING, {"operations": list(bounded)})
                for operation, fair_key, count in counted:
                    for limit in bounded[operation].limits:
                        running[limit][fair_key] += count
        return replace(standing, running=running)

    async def change(self, declared: Limit, change: LimitChange) -> None:
        """Set this in place of what the file says of the limit; raises LimitInvalidError."""
        async with self._database.write() as connection:
            standing = await lock_and_read(connection, {declared.name: declared})
            before = standing.states[declared.name]
            changed = change.after(declared, before.changed)
            after = in_effect(declared, changed)
            owed = carried_over(before.limit, after, before.allowed_in_seconds)
            await connection.execute(
                _CHANGE,
                {
                    "of_name": declared.name,
                    "new_changed": changed or None,
                    "allowed_in_seconds": owed or None,
                },
            )
            await take_all_back(connection)

    async def pause(self, kind: PausedKind, name: str, *, by: str) -> bool:
        """Let nothing of it start; whether it was going on until now. An earlier pause stays."""
        async with self._database.write() as connection:
            paused = await connection.execute(
                _PAUSE[connection.dialect.name], {"kind": kind, "name": name, "by": by}
            )
            await take_all_back(connection)
            return paused.rowcount == 1

    async def resume(self, kind: PausedKind, name: str, *, paused_by: str | None = None) -> bool:
        """Let it go on, if it is paused, and by this one where that is given; whether it was."""
        is_it = (pauses.c.kind == kind, pauses.c.name == name)
        is_theirs = () if paused_by is None else (pauses.c.paused_by == paused_by,)
        async with self._database.write() as connection:
            resumed = await connection.execute(delete(pauses).where(*is_it, *is_theirs))
            return resumed.rowcount == 1

    async def note_failure(
        self,
        declared: Iterable[Limit],
        *,
        started_at: datetime,
        asked_seconds: float | None = None,
    ) -> dict[str, LimitState]:
        """Note that an attempt has failed by the fault of these limits' upstream.

        The limits with a breaker, as they stand from now on; see `after_failure`.
        """
        step = partial(after_failure, asked_seconds=asked_seconds)
        return await self._note(declared, started_at=started_at, step=step)

    async def note_success(
        self, declared: Iterable[Limit], *, started_at: datetime
    ) -> dict[str, LimitState]:
        """Note that an attempt has been answered; see `note_failure`."""
        return await self._note(declared, started_at=started_at, step=after_success)

    async def follow_file(self, operations: Iterable[Operation]) -> None:
        """Bring what is noted of upstreams in line with the breakers that these operations have.

        Where there is none nothing stays noted. One that is open stays so for no longer, from now
        on, than the longest time that it has.
        """
        declared = limits_of(operations)
        longest = {
            name: limit.breaker.open_seconds[1]
            for name, limit in declared.items()
            if limit.breaker is not None
        }
        async with self._database.read() as connection:
            noted = (await connection.execute(_NOTED)).all()
        steps: list[tuple[Any, dict[str, Any]]] = []
        for name, open_for_seconds in noted:
            if name not in longest:
                steps.append((_SET_BREAKER, _set_breaker(name, BreakerState())))
            elif (open_for_seconds or 0.0) > longest[name]:
                steps.append((_CUT, {"of_name": name, "longest_seconds": longest[name]}))
        if steps:
            async with self._database.write() as connection:
                for statement, values in steps:
                    await connection.execute(statement, values)

    async def _note(
        self, declared: Iterable[Limit], *, started_at: datetime, step: _Step
    ) -> dict[str, LimitState]:
        broken = {limit.name: limit for limit in declared if limit.breaker is not None}
        async with self._database.write() as connection:
            standing = await lock_and_read(connection, broken)
            ran_seconds = await connection.scalar(_SECONDS_SINCE, {"started_at": started_at})
            for name, limit in broken.items():
                assert limit.breaker is not None
                before = standing.states[name].breaker
                after = step(limit.breaker, before, ran_seconds=ran_seconds or 0.0)
                if after != before:
                    await connection.execute(_SET_BREAKER, _set_breaker(name, after))
                if after.kind is not before.kind:
                    await take_all_back(connection)
            return dict((await _read(connection, broken)).states)


async def lock_and_read(connection: AsyncConnection, declared: Mapping[str, Limit]) -> Standing:
    """How these limits stand, and all that is paused: exact, until the transaction ends."""
    locked = await _rows_of(connection, declared, _LOCKED_STATES)
    if missing := sorted(declared.keys() - locked.keys()):
        new = [{"name": name} for name in missing]
        await connection.execute(_ADD[connection.dialect.name], new)
        locked = await _rows_of(connection, declared, _LOCKED_STATES)
    standing = _standing(declared, locked, await _paused(connection))
    await forgive(
        connection,
        {(name,): (each.limit, each.allowed_in_seconds) for name, each in standing.states.items()},
    )
    return standing


def limits_of(operations: Iterable[Operation]) -> dict[str, Limit]:
    """By name the limits of these operations, as the file declares them."""
    return {limit.name: limit for operation in operations for limit in operation.declared_limits}


async def _read(connection: AsyncConnection, declared: Mapping[str, Limit]) -> Standing:
    rows = await _rows_of(connection, declared, _STATES)
    return _standing(declared, rows, await _paused(connection))


async def _rows_of(
    connection: AsyncConnection, declared: Mapping[str, Limit], statement: Any
) -> dict[str, RowMapping]:
    if not declared:
        return {}
    found = await connection.execute(statement, {"names": list(declared)})
    return {row["name"]: row for row in found.mappings()}


def _standing(
    declared: Mapping[str, Limit], rows: Mapping[str, RowMapping], paused: Pauses
) -> Standing:
    return Standing(
        {
            name: _state(limit, rows.get(name), paused=bool(paused.of(PausedKind.LIMIT, name)))
            for name, limit in declared.items()
        },
        paused,
    )


async def _paused(connection: AsyncConnection) -> Pauses:
    rows = await connection.execute(_PAUSED)
    found = [Pause(**row) for row in rows.mappings()]
    return Pauses({(pause.kind, pause.name): pause for pause in found})


def _state(declared: Limit, row: RowMapping | None, *, paused: bool) -> LimitState:
    if row is None:
        return LimitState(limit=declared, declared=declared, paused=paused)
    return LimitState(
        limit=in_effect(declared, row["changed"]),
        declared=declared,
        changed=row["changed"] or {},
        paused=paused,
        allowed_in_seconds=row["allowed_in_seconds"] or 0.0,
        turn=row["turn"],
        breaker=BreakerState() if declared.breaker is None else _breaker(row),
    )


def _breaker(row: RowMapping) -> BreakerState:
    kind = BreakerKind.CLOSED
    if row["opened_at"] is not None:
        kind = BreakerKind.OPEN
    elif row["successes"] is not None:
        kind = BreakerKind.RECOVERING
    return BreakerState(
        kind=kind,
        failures=row["failures"],
        failing_seconds=row["failing_seconds"] or 0.0,
        opened_at=row["opened_at"],
        open_for_seconds=row["open_for_seconds"] or 0.0,
        probe_at=row["open_until"],
        openings=row["openings"],
        successes=row["successes"] or 0,
    )


_STATES = select(
    limits.c.name,
    limits.c.changed,
    seconds_between(NOW, limits.c.allowed_at).label("allowed_in_seconds"),
    limits.c.turn,
    limits.c.failures,
    seconds_since(limits.c.failing_since).label("failing_seconds"),
    limits.c.opened_at,
    seconds_between(NOW, limits.c.open_until).label("open_for_seconds"),
    limits.c.open_until,
    limits.c.openings,
    limits.c.successes,
).where(is_one_of(limits.c.name, "names"))


def _counted(condition: Any) -> Any:
    return (
        select(tasks.c.operation, tasks.c.fair_key, func.count())
        .where(condition, is_one_of(tasks.c.operation, "operations"))
        .group_by(tasks.c.operation, tasks.c.fair_key)
    )


_RUNNING = union_all(_counted(IS_RUNNING), _counted(WAITS_FOR_JOB))
_LOCKED_STATES = _STATES.order_by(limits.c.name).with_for_update()
_PAUSED = select(pauses.c.kind, pauses.c.name, pauses.c.paused_at, pauses.c.paused_by)

_SECONDS_SINCE = select(seconds_since(bindparam("started_at", type_=UtcDateTime())))
_CHANGE = (
    update(limits)
    .where(limits.c.name == bindparam("of_name"))
    .values(
        changed=bindparam("new_changed"),
        allowed_at=seconds_from_this_moment(bindparam("allowed_in_seconds")),
    )
)
_IS_OPEN = bindparam("is_open", type_=Boolean)
_SET_BREAKER = (
    update(limits)
    .where(limits.c.name == bindparam("of_name"))
    .values(
        failures=bindparam("new_failures"),
        failing_since=seconds_from_now(bindparam("failing_in_seconds")),
        opened_at=case((_IS_OPEN, func.coalesce(limits.c.opened_at, NOW))),
        open_until=seconds_from_now(bindparam("open_for_seconds")),
        openings=bindparam("new_openings"),
        successes=bindparam("new_successes"),
    )
)

_NOTED = (
    select(limits.c.name, seconds_between(NOW, limits.c.open_until))
    .where(or_(limits.c.failures > 0, limits.c.open_until.is_not(None)))
    .order_by(limits.c.name)
)
_LONGEST_UNTIL = seconds_from_this_moment(bindparam("longest_seconds"))
_CUT = (
    update(limits)
    .where(limits.c.name == bindparam("of_name"), limits.c.open_until > _LONGEST_UNTIL)
    .values(open_until=_LONGEST_UNTIL)
)


def _set_breaker(name: str, state: BreakerState) -> dict[str, Any]:
    is_closed = state.kind is BreakerKind.CLOSED
    return {
        "of_name": name,
        "new_failures": state.failures,
        "failing_in_seconds": -state.failing_seconds if state.failures else None,
        "is_open": state.kind is BreakerKind.OPEN,
        "open_for_seconds": None if is_closed else state.open_for_seconds,
        "new_openings": state.openings,
        "new_successes": state.successes if state.kind is BreakerKind.RECOVERING else None,
    }


def _add(insert: Any) -> Any:
    return insert(limits).values(name=bindparam("name")).on_conflict_do_nothing()


def _pause(insert: Any) -> Any:
    return (
        insert(pauses)
        .values(
            kind=bindparam("kind", type_=pauses.c.kind.type),
            name=bindparam("name"),
            paused_at=seconds_from_now(0.0),
            paused_by=bindparam("by"),
        )
        .on_conflict_do_nothing()
    )


_INSERTS = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_ADD = {dialect: _add(insert) for dialect, insert in _INSERTS.items()}
_PAUSE = {dialect: _pause(insert) for dialect, insert in _INSERTS.items()}
