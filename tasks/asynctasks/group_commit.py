"""Many callers' writes, one transaction.

The way of a write:

    write()
      │
      ▼         in its lane, while the group before it commits; and if that was more than one
    waiting     write, a moment longer, 20 ms at most
      │
      ▼
    gathered    the oldest of the lane, 500 at most
      │
      ▼
    committing ──────────────▶ done: each caller has its own result
      │
      ├─ the database is away: the whole group once more, and where it still is, all fail
      ├─ any other error: each of the group in a transaction of its own, in their order; only
      │  those fail whose item the database refuses
      └─ the flush is cancelled: all fail, those that wait too; nobody waits for ever

Whoever is cancelled on the way does not take the write along: it is committed all the same. Leaving
GroupCommit refuses new writes and ends when those that wait are done.

Where writes come thick, a group waits a moment for more of them, which costs less than the
transaction that it saves: under load both latency and CPU fall
(docs/decisions/0006-what-ends-together-travels-together.md). Where PostgreSQL takes longer, so does
the moment; what SQLite takes is this process's own time, and waiting as long again would waste it.

On PostgreSQL each kind of write has a lane of its own, so that it waits for its own kind alone and
what is one statement needs no BEGIN and COMMIT. On SQLite, which commits one transaction at a time,
all kinds share one lane, and a group may hold several kinds.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from asynctasks.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.database import Database

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MAX_ITEMS = 500
"""The most items in one transaction, so that no caller waits behind an unbounded one."""
PAUSE_SECONDS_A_WRITE, USUAL_PAUSE_SECONDS = 0.000_35, 0.004
"""How long a group waits for more: by the size of the one before, up to so long."""
LONGEST_PAUSE_SECONDS = 0.02
"""Where the database takes longer, a group waits as long as that did, but no longer than this."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch(Generic[ItemT, ResultT]):
    """A kind of write, of many items at once.

    It must be harmless when repeated, since one whose connection broke is tried once more: the
    pool's connections are all stale after the database has restarted.
    """

    write: Callable[[AsyncConnection, Sequence[ItemT]], Awaitable[Sequence[ResultT]]]
    """Writes the items on the connection; one result for each, in their order."""
    at_once: Callable[[Database, Sequence[ItemT]], Awaitable[Sequence[ResultT]]] | None = None
    """The same as a transaction of its own, where the database has more than one writer."""


@dataclass(slots=True, eq=False)
class _Write:
    batch: Batch[Any, Any]
    item: Any
    done: asyncio.Future[Any]


@dataclass(slots=True, eq=False)
class _Lane:
    waiting: list[_Write] = field(default_factory=list["_Write"])
    is_flushing: bool = False
    last_size: int = 0
    """How many writes the last transaction had."""
    last_seconds: float = 0.0
    """How long a server took for it."""


class GroupCommit:
    """Collects writes and commits them together; leave it to flush the rest."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lanes: defaultdict[Batch[Any, Any] | None, _Lane] = defaultdict(_Lane)
        self._closing = False
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        # The body's own error is raised by the caller's `async with`; here the rest is flushed.
        del kind, error, traceback
        await self._tasks.__aexit__(None, None, None)

    async def write(self, batch: Batch[ItemT, ResultT], item: ItemT) -> ResultT:
        """Write the item with others of its kind; returns after the commit.

        A caller that is cancelled meanwhile does not cancel the write.
        """
        if self._closing:
            raise DatabaseUnavailableError(
                "This process is shutting down and takes no more writes."
            )
        write = _Write(batch, item, asyncio.get_running_loop().create_future())
        lane = self._lanes[None if self._database.has_one_writer else batch]
        lane.waiting.append(write)
        if not lane.is_flushing:
            lane.is_flushing = True
            self._tasks.create_task(self._flush(lane), name="group-commit")
        return await write.done

    async def _flush(self, lane: _Lane) -> None:
        loop = asyncio.get_running_loop()
        writes: Sequence[_Write] = []
        try:
            while lane.waiting:
                if lane.last_size > 1:
                    await asyncio.sleep(pause_seconds(lane.last_size, lane.last_seconds))
                writes, lane.waiting = lane.waiting[:MAX_ITEMS], lane.waiting[MAX_ITEMS:]
                lane.last_size = len(writes)
                began = loop.time()
                await self._commit(writes)
                if not self._database.has_one_writer:
                    lane.last_seconds = loop.time() - began
        finally:
            lane.is_flushing = False
            # Cut short: nobody may wait for ever.
            left = [write for write in (*writes, *lane.waiting) if not write.done.done()]
            for write in left:
                _fail(write, DatabaseUnavailableError("This process is shutting down."))

    async def _commit(self, writes: Sequence[_Write]) -> None:
        try:
            try:
                results = await self._transaction(writes)
            except DatabaseUnavailableError:
                results = await self._transaction(writes)
        except DatabaseUnavailableError as error:
            for write in writes:
                _fail(write, error)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to whose item it is
            await self._commit_one_by_one(writes, error)
        else:
            for write, result in zip(writes, results, strict=True):
                if not write.done.done():
                    write.done.set_result(result)

    async def _transaction(self, writes: Sequence[_Write]) -> list[Any]:
        batches = list(dict.fromkeys(write.batch for write in writes))
        at_once = None if self._database.has_one_writer else batches[0].at_once
        if at_once is not None:
            return list(await at_once(self._database, [write.item for write in writes]))
        results: dict[int, Any] = {}
        async with self._database.write() as connection:
            for batch in batches:
                members = [n for n, write in enumerate(writes) if write.batch is batch]
                answers = await batch.write(connection, [writes[n].item for n in members])
                results.update(zip(members, answers, strict=True))
        return [results[n] for n in range(len(writes))]

    async def _commit_one_by_one(self, writes: Sequence[_Write], error: Exception) -> None:
        """One item that the database refuses must not fail the others that shared its batch."""
        if len(writes) == 1:
            _fail(writes[0], error)
            return
        for write in writes:
            await self._commit([write])


def pause_seconds(last_size: int, last_seconds: float) -> float:
    """How long to wait for more writes after a transaction of so many that took so long."""
    usual = min(USUAL_PAUSE_SECONDS, PAUSE_SECONDS_A_WRITE * last_size)
    return min(LONGEST_PAUSE_SECONDS, max(usual, last_seconds))


def _fail(write: _Write, error: Exception) -> None:
    if not write.done.done():
        write.done.set_exception(error)
        # Its caller may have been cancelled; then nobody reads the exception.
        write.done.exception()
