"""Releases held tasks, and reserves places for tasks that are not to be held.

A release is one transaction:

    which groups wait ─▶ lock their limits ─▶ count what is in hand ─▶ plan ─▶ mark as published

Limits are locked in the order of their names, so that whoever releases next sees all that this one
has released; no task's row is waited for. A group is an operation's tasks of one priority and key.
From one group the index leads straight to the next, and in each to the task that has waited
longest: the cost goes by the number of groups and of tasks let go, never by how many wait.

Where nothing waits, a process may reserve places, and add its tasks as published while they last.
They count as in hand. Whoever finds that more could start without them takes all of them back.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import orjson
from sqlalchemy import bindparam, delete, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from asynctasks.limits.plan import Plan, plan
from asynctasks.limits.reserve import places_ahead
from asynctasks.limits.rooms import Group, HeldTask, InHand, KeyState, Rooms, Situation
from asynctasks.statements.conditions import NOW
from asynctasks.statements.hold import HOLD
from asynctasks.statements.limit_states import limits_of, lock_and_read
from asynctasks.statements.release_statements import ON_POSTGRESQL, ON_SQLITE
from asynctasks.statements.reserved_places import Reservation, forget_idle, lock, take_back
from asynctasks.statements.reserved_places import reserve as write_reserved
from asynctasks.statements.start_rates import forgive, limit_keys, limits
from asynctasks.statements.upkeep import DueTask

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.database import Database
    from asynctasks.limits.limit_state import Standing
    from asynctasks.operations.operation import Operation

MOST_TASKS = 500
"""Let go by one release, so that nobody waits behind an unbounded one."""
MOST_GROUPS = 10_000
"""Looked at by one release."""
LEAST_WINDOW, WINDOWS_A_CAPACITY = 1_000, 10
"""By default a queue may have as many messages as its executors run at once, ten times over: they
are not to wait for a release. So many at least, as long as it is not known who consumes it."""


@dataclass(frozen=True, slots=True)
class Released:
    """What a release has let go, and how it goes on."""

    tasks: Sequence[DueTask] = ()
    """To be published now, in this order."""
    waits: bool = False
    """Whether others wait for room."""
    has_more: bool = False
    """Whether there is room for some of these, but no more were let go at once."""
    more_in_seconds: float = math.inf
    """When the next may start by a rate, if no other task ends before."""


class HeldTasks:
    """The tasks that are held. Every method raises DatabaseUnavailableError."""

    def __init__(
        self, database: Database, *, grace_seconds: float, window: int | None = None
    ) -> None:
        """After the grace a message counts as lost; `window` is how many a queue may have."""
        self._database = database
        self._grace_seconds = grace_seconds
        self._window = window
        self._statements = ON_SQLITE if database.has_one_writer else ON_POSTGRESQL

    async def waiting(self, queues: Collection[str]) -> list[Group]:
        """The groups of these queues that wait, without their tasks."""
        async with self._database.read() as connection:
            rows = await self._rows(connection, self._statements.heads, list(queues), MOST_GROUPS)
            return [Group(**row, tasks=()) for row in rows]

    async def release(
        self, groups: Sequence[Group], operations: Mapping[str, Operation]
    ) -> Released:
        """Mark as published what may start of these groups, of operations that are known."""
        known = [group for group in groups if group.operation in operations]
        waiting = {group.operation for group in known}
        declared = limits_of(each for name, each in operations.items() if name in waiting)
        async with self._database.write() as connection:
            standing = await lock_and_read(connection, declared)
            going_on = [group for group in known if not _is_paused(group, standing)]
            if not going_on:
                return Released()
            made = await self._plan(connection, _Asked(going_on, standing, operations))
            tasks = await self._mark(connection, made.tasks)
            await _keep_turns(connection, made)
        return Released(tasks, made.waits, made.has_more, made.more_in_seconds)

    async def reserve(
        self, reservation: Reservation, operations: Mapping[str, Operation], *, wanted: int
    ) -> int:
        """Reserve up to so many places in place of what was reserved before; how many there are.

        None where its part of the room is less than one, or what they are for is paused.
        """
        operation = operations[reservation.operation]
        group = Group(
            queue=operation.queue,
            operation=operation.name,
            priority=operation.priority,
            fair_key=reservation.fair_key,
            tasks=(),
        )
        async with self._database.write() as connection:
            standing = await lock_and_read(connection, limits_of([operation]))
            await lock(connection, reservation)
            places = 0
            if not _is_paused(group, standing):
                asked = _Asked([group], standing, operations, by=reservation.holder)
                situation = await self._situation(connection, asked)
                places = places_ahead(situation, group, wanted=wanted)
            await write_reserved(connection, reservation, places)
        return places

    async def full(self, queues: Collection[str]) -> set[str]:
        """Those of the queues that have as many messages as they may."""
        async with self._database.read() as connection:
            counts = await self._counts(connection, (), queues)
        return {queue for queue in queues if counts.queue_room(queue, self._window) <= 0}

    async def hold(self, task_ids: Sequence[UUID]) -> None:
        """Hold these again, which could not be published."""
        async with self._database.write() as connection:
            await connection.execute(HOLD, {"ids": task_ids})

    async def forget_turns(self) -> None:
        """Forget those who are ahead of nobody in a limit that they share."""
        async with self._database.write() as connection:
            await connection.execute(_FORGET_TURNS)

    async def forget_reserved(self) -> None:
        """Take back the places of processes that are gone."""
        async with self._database.write() as connection:
            await forget_idle(connection)

    async def _plan(self, connection: AsyncConnection, asked: _Asked) -> Plan:
        situation = await self._situation(connection, asked)
        made = plan(situation, await self._with_tasks(connection, asked.groups, situation))
        if not (made.waits and situation.reserved):
            return made
        free = replace(situation, reserved={})
        most = plan(free, await self._with_tasks(connection, asked.groups, free))
        if len(most.tasks) <= len(made.tasks):
            return made
        await take_back(connection, asked.bounded)
        # Counted anew: some of the places were taken before that.
        situation = await self._situation(connection, asked)
        return plan(situation, await self._with_tasks(connection, asked.groups, situation))

    async def _situation(self, connection: AsyncConnection, asked: _Asked) -> Situation:
        counts = await self._counts(connection, asked.bounded, asked.queues, asking=asked.by)
        return Situation(
            limits_of={name: each.limits for name, each in asked.operations.items()},
            states=asked.standing.states,
            in_hand=counts.in_hand,
            keys=await self._keys(connection, asked),
            queue_rooms={queue: counts.queue_room(queue, self._window) for queue in asked.queues},
            reserved=counts.reserved,
        )

    async def _counts(
        self,
        connection: AsyncConnection,
        operations: Collection[str],
        queues: Collection[str],
        *,
        asking: str = "",
    ) -> _Counts:
        parameters = (list(operations), list(queues), asking)
        counts = _Counts()
        for row in await self._rows(connection, self._statements.counts, *parameters):
            counts.add(**row)
        return counts

    async def _keys(
        self, connection: AsyncConnection, asked: _Asked
    ) -> dict[tuple[str, str], KeyState]:
        # For who reserves it is nobody's turn, and only bounds of the key itself matter.
        shared = [
            name
            for name, state in asked.standing.states.items()
            if (state.limit.per_key if asked.by else state.limit.fair_by)
        ]
        if not shared:
            return {}
        keys = list({group.fair_key for group in asked.groups})
        rows = await self._rows(connection, self._statements.keys, shared, keys)
        found = {
            (row["name"], row["key"]): KeyState(row["turn"], row["allowed_in_seconds"] or 0.0)
            for row in rows
        }
        states = asked.standing.states
        rated = {
            of: (per_key, state.allowed_in_seconds)
            for of, state in found.items()
            if (per_key := states[of[0]].limit.per_key) is not None
        }
        await forgive(connection, rated)
        return found

    async def _with_tasks(
        self, connection: AsyncConnection, groups: Sequence[Group], situation: Situation
    ) -> list[Group]:
        """The groups with the tasks that may start first, as many of each as there may be room for.

        Those without room have none.
        """
        rooms = list(map(Rooms(situation).left_for, groups))
        ready = [group for group, room in zip(groups, rooms, strict=True) if room > 0]
        full = [
            replace(group, is_cut=True)
            for group, room in zip(groups, rooms, strict=True)
            if room <= 0
        ]
        if not ready:
            return full
        few = max(1, min(MOST_TASKS // len(ready), int(max(rooms))))
        found: list[list[HeldTask]] = [[] for _ in ready]
        names = [[each.queue, each.operation, each.priority, each.fair_key] for each in ready]
        columns: list[list[Any]] = [names]
        if not self._database.has_one_writer:
            columns = [list(column) for column in zip(*names, strict=True)]
        for row in await self._rows(connection, self._statements.tasks, *columns, few):
            number: int = row["number"]
            found[number].append(HeldTask(_uuid(row["id"]), row["waited_seconds"]))
        return full + [
            replace(group, tasks=tasks, is_cut=len(tasks) == few)
            for group, tasks in zip(ready, found, strict=True)
            if tasks
        ]

    async def _mark(self, connection: AsyncConnection, ids: Sequence[UUID]) -> list[DueTask]:
        if not ids:
            return []
        rows = await self._rows(connection, self._statements.release, ids, self._grace_seconds)
        marked = {
            task.id: task
            for task in (DueTask(_uuid(row["id"]), row["operation"], row["queue"]) for row in rows)
        }
        return [marked[one] for one in ids if one in marked]  # others hold the rest of the rows

    async def _rows(self, connection: AsyncConnection, statement: str, *parameters: Any) -> Any:
        if self._database.has_one_writer:
            sent = tuple(map(_sent, parameters))
            return (await connection.exec_driver_sql(statement, sent)).mappings()
        # Beneath SQLAlchemy, as hot statements are; a transaction has begun by its own statements.
        raw: Any = await connection.get_raw_connection()
        return await raw.driver_connection.fetch(statement, *parameters)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a release, or a process that reserves places, asks for."""

    groups: Sequence[Group]
    standing: Standing
    """Of the limits of these groups, which are locked."""
    operations: Mapping[str, Operation]
    by: str = ""
    """Whose own places are not to be counted."""

    @property
    def bounded(self) -> list[str]:
        """The operations that share these limits."""
        limits = self.standing.states.keys()
        return [
            name for name, each in self.operations.items() if not limits.isdisjoint(each.limits)
        ]

    @property
    def queues(self) -> set[str]:
        """Those of the groups."""
        return {group.queue for group in self.groups}


@dataclass(slots=True)
class _Counts:
    """What is in hand or reserved, and how many messages the queues have and could have."""

    in_hand: dict[tuple[str, str], InHand] = field(default_factory=dict[tuple[str, str], InHand])
    messages: Counter[str] = field(default_factory=Counter[str])
    capacities: Counter[str] = field(default_factory=Counter[str])
    reserved: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def add(self, *, what: str, name: str, key: str, number: int) -> None:
        match what:
            case "messages":
                self.messages[name] = number
            case "capacity":
                self.capacities[name] = number
            case "reserved":
                self.reserved[name, key] = number
            case _:
                before = self.in_hand.get((name, key), InHand())
                self.in_hand[name, key] = before + InHand(**{what: number})

    def queue_room(self, queue: str, window: int | None) -> int:
        return window_of(self.capacities[queue], window) - self.messages[queue]


def window_of(capacity: int, window: int | None) -> int:
    """How many messages a queue may have whose executors run so many tasks at once."""
    return max(LEAST_WINDOW, WINDOWS_A_CAPACITY * capacity) if window is None else window


async def _keep_turns(connection: AsyncConnection, made: Plan) -> None:
    if made.turns:
        turns = [{"of": name, "new": turn} for name, turn in sorted(made.turns.items())]
        await connection.execute(_TURN, turns)
    if made.key_turns:
        keys = [
            {"name": name, "key": key, "turn": turn}
            for (name, key), turn in sorted(made.key_turns.items())
        ]
        await connection.execute(_KEY_TURN[connection.dialect.name], keys)


def _is_paused(group: Group, standing: Standing) -> bool:
    return standing.pauses.of_tasks(queue=group.queue, operation=group.operation) is not None


def _sent(value: Any) -> Any:
    """A parameter as SQLite takes it."""
    if not isinstance(value, list):
        return value
    values = cast("list[Any]", value)
    return orjson.dumps([one.hex if isinstance(one, UUID) else one for one in values]).decode()


def _uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


_IS_BEHIND = (
    select(limit_keys.c.name, limit_keys.c.key)
    .join(limits, limits.c.name == limit_keys.c.name)
    .where(
        limit_keys.c.turn <= limits.c.turn,
        or_(limit_keys.c.allowed_at.is_(None), limit_keys.c.allowed_at <= NOW),
    )
    # A claim that spends may hold some, in another order.
    .with_for_update(of=limit_keys, skip_locked=True)
)
_FORGET_TURNS = delete(limit_keys).where(
    tuple_(limit_keys.c.name, limit_keys.c.key).in_(_IS_BEHIND)
)
_TURN = update(limits).where(limits.c.name == bindparam("of")).values(turn=bindparam("new"))


def _key_turn(insert: Any) -> Any:
    new = insert(limit_keys).values(
        name=bindparam("name"), key=bindparam("key"), turn=bindparam("turn")
    )
    return new.on_conflict_do_update(
        index_elements=[limit_keys.c.name, limit_keys.c.key], set_={"turn": new.excluded.turn}
    )


_KEY_TURN = {"postgresql": _key_turn(postgresql.insert), "sqlite": _key_turn(sqlite.insert)}
