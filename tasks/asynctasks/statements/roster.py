"""The roster of executors: who consumes which queue, how busy each is, and who is to drain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from asynctasks.executor import ExecutorRow
from asynctasks.instants import seconds_from_now, seconds_since

if TYPE_CHECKING:
    from collections.abc import Collection

    from asynctasks.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What an executor reports of itself."""

    name: str
    queue: str
    pod: str | None
    concurrency: int
    running: int
    consuming: bool
    idle_seconds: float | None
    """For how long nothing has run; None while something does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """An executor as the roster knows it. Ages are by the database's clock."""

    name: str
    queue: str
    pod: str | None
    concurrency: int
    running: int
    consuming: bool
    draining: bool
    idle_seconds: float | None
    """For how long nothing has run, if it is alive; None where something ran when last seen."""
    age_seconds: float
    """How long ago it was last seen."""

    @property
    def has_drained(self) -> bool:
        """Whether it has left its queue and holds nothing: it may be removed at no loss."""
        return self.draining and not self.consuming and self.running == 0


class Roster:
    """The table of executors. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, heartbeat: Heartbeat) -> bool:
        """Record the heartbeat, and return whether the executor is to drain."""
        idle = heartbeat.idle_seconds
        async with self._database.write() as connection:
            beaten = await connection.execute(
                _BEAT[connection.dialect.name],
                {
                    "name": heartbeat.name,
                    "queue": heartbeat.queue,
                    "pod": heartbeat.pod,
                    "concurrency": heartbeat.concurrency,
                    "running": heartbeat.running,
                    "consuming": heartbeat.consuming,
                    "ago_seconds": None if idle is None else -idle,
                },
            )
            return beaten.scalar_one()

    async def leave(self, name: str) -> None:
        """Forget an executor that has ended."""
        async with self._database.write() as connection:
            await connection.execute(_LEAVE, {"of_name": name})

    async def of_queue(self, queue: str) -> list[Executor]:
        """The executors of the queue by name, those long unseen too."""
        async with self._database.read() as connection:
            rows = await connection.execute(_OF_QUEUE, {"of_queue": queue})
            return [Executor(**row) for row in rows.mappings()]

    async def consumers(self, seen_seconds: float) -> dict[str, int]:
        """By queue how many executors take its tasks, of those seen within so many seconds."""
        async with self._database.read() as connection:
            rows = await connection.execute(_CONSUMERS, {"seen_seconds": -seen_seconds})
            return {row.queue: row.executors for row in rows}

    async def set_draining(self, names: Collection[str], draining: bool) -> None:
        """Tell the executors to drain, or to consume again; one that is gone is passed over."""
        if not names:
            return
        async with self._database.write() as connection:
            await connection.execute(
                _SET_DRAINING, {"names": sorted(names), "new_draining": draining}
            )

    async def forget(self, *, older_than_seconds: float) -> int:
        """Forget the executors that were not seen for so long; how many they were."""
        async with self._database.write() as connection:
            gone = await connection.execute(_FORGET, {"age_seconds": -older_than_seconds})
            return gone.rowcount


executors = SQLModel.metadata.tables[str(ExecutorRow.__tablename__)]


def _beat(insert: Any) -> Any:
    """What the operator writes, `draining`, stays; the indexed `queue` never changes."""
    new = insert(executors).values(
        draining=False,
        seen_at=seconds_from_now(0.0),
        idle_since=seconds_from_now(bindparam("ago_seconds")),
        **{
            name: bindparam(name, type_=executors.c[name].type)
            for name in ("name", "queue", "pod", "concurrency", "running", "consuming")
        },
    )
    changing = ("running", "consuming", "idle_since", "seen_at")
    return new.on_conflict_do_update(
        index_elements=[executors.c.name], set_={name: new.excluded[name] for name in changing}
    ).returning(executors.c.draining)


_BEAT = {"postgresql": _beat(postgresql.insert), "sqlite": _beat(sqlite.insert)}
_LEAVE = delete(executors).where(executors.c.name == bindparam("of_name"))
_OF_QUEUE = (
    select(
        executors.c.name,
        executors.c.queue,
        executors.c.pod,
        executors.c.concurrency,
        executors.c.running,
        executors.c.consuming,
        executors.c.draining,
        seconds_since(executors.c.idle_since).label("idle_seconds"),
        seconds_since(executors.c.seen_at).label("age_seconds"),
    )
    .where(executors.c.queue == bindparam("of_queue"))
    .order_by(executors.c.name)
)
_CONSUMERS = (
    select(executors.c.queue, func.count().label("executors"))
    .where(
        executors.c.consuming, executors.c.seen_at >= seconds_from_now(bindparam("seen_seconds"))
    )
    .group_by(executors.c.queue)
)
_SET_DRAINING = (
    update(executors)
    .where(
        executors.c.name.in_(bindparam("names", expanding=True)),
        executors.c.draining != bindparam("new_draining"),
    )
    .values(draining=bindparam("new_draining"))
)
_FORGET = delete(executors).where(executors.c.seen_at < seconds_from_now(bindparam("age_seconds")))
