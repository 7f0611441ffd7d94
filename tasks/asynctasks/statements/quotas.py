"""How many unfinished tasks a tenant or a principal has, and whether there is room for more.

Counted are rows, in the transaction that adds to them: nothing can leak, and with a lock on each
tenant or principal it is exact however many proxies there are.

    lock whose quota it is ─▶ count what is there ─▶ add as many as there is room for ─▶ commit

Only tasks that such a bound was asked about are counted, and only they are in the index of that, so
that all others cost what they cost without quotas.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from sqlalchemy import ARRAY, String, and_, bindparam, func, null, select, text, update

from asynctasks.errors import QuotaExceededError
from asynctasks.statements.conditions import is_status, tasks
from asynctasks.statements.id_list import is_one_of
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.operations.new_task import NewTask

Holder = tuple[Literal["tenant", "principal"], str]
"""Whose a quota is: a tenant's or a principal's, and the name of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How many tasks its holder may have that have not finished."""

    policy: str
    """The beginning of the quotas' names."""
    holder: Holder
    queued: int | None
    """Of those that wait for an executor."""
    running: int | None
    """Beside those that may wait; alone, of all."""

    def check(self, *, waiting: int, unfinished: int) -> None:
        """Raise QuotaExceededError where there is no room for one more."""
        if self.queued is not None and waiting >= self.queued:
            raise QuotaExceededError(f"{self.policy}-queued", limit=self.queued)
        if self.running is not None and unfinished >= self.running + (self.queued or 0):
            raise QuotaExceededError(f"{self.policy}-running", limit=self.running)


class Room:
    """What is left to each holder in one transaction, as more is taken of it."""

    def __init__(self, counts: dict[Holder, tuple[int, int]]) -> None:
        self._counts = defaultdict(lambda: (0, 0), counts)

    def take(self, bounds: Sequence[Bound]) -> QuotaExceededError | None:
        """Take the place of one task of all these; of none where it is refused."""
        for bound in bounds:
            waiting, unfinished = self._counts[bound.holder]
            try:
                bound.check(waiting=waiting, unfinished=unfinished)
            except QuotaExceededError as error:
                return error
        for holder in {bound.holder for bound in bounds}:
            waiting, unfinished = self._counts[holder]
            self._counts[holder] = (waiting + 1, unfinished + 1)
        return None


async def room_for(connection: AsyncConnection, bounds: Iterable[Bound]) -> Room:
    """Lock the holders until the transaction ends, and count their tasks."""
    names: dict[str, set[str]] = defaultdict(set)
    for bound in bounds:
        column, name = bound.holder
        names[column].add(name)
    if connection.dialect.name == "postgresql":
        holders = [f"{column} {name}" for column in names for name in names[column]]
        await connection.execute(_LOCK, {"holders": holders})
    counts: dict[Holder, tuple[int, int]] = {}
    for column, of_column in names.items():
        rows = await connection.execute(_COUNTS[column], {"names": sorted(of_column)})
        counts |= {(column, row.name): (row.waiting, row.unfinished) for row in rows}  # type: ignore[misc]
    return Room(counts)


class AddedLike(Protocol):
    """What became of a task that was to be added."""

    @property
    def id(self) -> UUID:
        """Of the task that there is now."""
        ...

    @property
    def is_new(self) -> bool:
        """Whether it was there before."""
        ...


AddedT = TypeVar("AddedT", bound=AddedLike)


@dataclass(frozen=True, slots=True)
class Kind(Generic[AddedT]):
    """How tasks of one kind are added, and what makes one join another."""

    write: Callable[[AsyncConnection, Sequence[NewTask]], Awaitable[Sequence[AddedT | None]]]
    key_of: Callable[[NewTask], Any]
    holders: Any
    """The statement that finds by `keys` who has them; None where nothing joins."""

    async def known_among(self, connection: AsyncConnection, new: Sequence[NewTask]) -> set[Any]:
        """The ids and the keys of these that are there."""
        rows = await connection.execute(_IDS, {"ids": [task.id for task in new]})
        known: set[Any] = set(rows.scalars())
        if self.holders is not None:
            held = await connection.execute(self.holders, {"keys": list(map(self.key_of, new))})
            width = len(self.key_of(new[0]))
            known |= {tuple(row)[-width:] for row in held}
        return known


def within_bounds(
    kind: Kind[AddedT],
) -> Callable[
    [AsyncConnection, Sequence[tuple[NewTask, Sequence[Bound]]]],
    Awaitable[list[AddedT | QuotaExceededError | None]],
]:
    """Writes as many of the tasks as there is room for; of each of the others why it is not."""

    async def write(
        connection: AsyncConnection, items: Sequence[tuple[NewTask, Sequence[Bound]]]
    ) -> list[AddedT | QuotaExceededError | None]:
        room = await room_for(connection, [bound for _, bounds in items for bound in bounds])
        known = await kind.known_among(connection, [task for task, _ in items])
        refusals: list[QuotaExceededError | None] = []
        for task, bounds in items:
            # What joins another is no task more; nor is one that is tried to be stored once more.
            is_known = task.id in known or kind.key_of(task) in known
            refusals.append(None if is_known else room.take(bounds))
            if refusals[-1] is None:
                known.add(kind.key_of(task))
        fitting = [
            task for (task, _), refusal in zip(items, refusals, strict=True) if refusal is None
        ]
        added: Sequence[AddedT | None] = ()
        if fitting:
            added = await kind.write(connection, fitting)
        await _count_in(connection, added)
        answers = iter(added)
        return [next(answers) if refusal is None else refusal for refusal in refusals]

    return write


async def _count_in(connection: AsyncConnection, added: Sequence[AddedLike | None]) -> None:
    """Have those that are new count; the insert of all others stays as it is."""
    new = [each.id for each in added if each is not None and each.is_new]
    if new:
        await connection.execute(_COUNT_IN, {"ids": new})


# In one order everywhere, or two proxies could wait for each other. Only SQLite, where one writes
# at a time, needs no lock.
_LOCK = text(
    "SELECT pg_advisory_xact_lock(key) FROM ("
    " SELECT DISTINCT hashtextextended(holder, 0) AS key FROM unnest(:holders) AS holder"
    " ORDER BY key OFFSET 0) AS keys"
).bindparams(bindparam("holders", type_=ARRAY(String)))
_IS_WAITING = and_(is_status(TaskStatus.QUEUED), tasks.c.upstream_job.is_(null()))
_IS_COUNTED = and_(tasks.c.counted, is_status(TaskStatus.QUEUED, TaskStatus.RUNNING))
_COUNTS = {
    column.name: select(
        column.label("name"),
        func.count().filter(_IS_WAITING).label("waiting"),
        func.count().label("unfinished"),
    )
    .where(is_one_of(column, "names"), _IS_COUNTED)
    .group_by(column)
    for column in (tasks.c.tenant, tasks.c.principal)
}
_IDS = select(tasks.c.id).where(is_one_of(tasks.c.id))
_COUNT_IN = update(tasks).where(is_one_of(tasks.c.id)).values(counted=True)
