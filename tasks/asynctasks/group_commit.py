"""Many callers' writes, one transaction.

The first write is flushed at once; those that arrive while it commits share the next transaction.
There is no timer: a lone write waits for nobody, and under load the batch grows to what one commit
costs (research/messaging.md §6: 1.7 times the throughput, a fifth of the client's CPU).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from asynctasks.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from types import TracebackType

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

Begin = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
Batch = Callable[[AsyncConnection, Sequence[ItemT]], Awaitable[Sequence[ResultT]]]
"""Writes all items in the transaction of the connection; one result for each, in their order."""

MAX_ITEMS = 500
"""The most items in one transaction, so that no caller waits behind an unbounded one."""


@dataclass(slots=True, eq=False)
class _Write:
    batch: Batch[Any, Any]
    item: Any
    done: asyncio.Future[Any]


class GroupCommit:
    """Collects writes and commits them together; enter it to start it, leave it to flush the rest.

    A batch must be harmless when repeated, since one whose connection broke is tried once more: the
    pool's connections are all stale after the database has restarted.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._waiting: list[_Write] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._flush_until_closed(), name="group-commit")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._wake.set()
        # The body's own error is raised by the caller's `async with`; here the rest is flushed.
        del kind, error, traceback
        await self._tasks.__aexit__(None, None, None)

    async def write(self, batch: Batch[ItemT, ResultT], item: ItemT) -> ResultT:
        """Write the item by `batch`, with others; returns after the commit.

        A caller that is cancelled meanwhile does not cancel the write.
        """
        if self._closing:
            raise DatabaseUnavailableError(
                "This process is shutting down and takes no more writes."
            )
        write = _Write(batch, item, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        self._wake.set()
        return await write.done

    async def _flush_until_closed(self) -> None:
        writes: Sequence[_Write] = []
        try:
            while not (self._closing and not self._waiting):
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    writes, self._waiting = self._waiting[:MAX_ITEMS], self._waiting[MAX_ITEMS:]
                    await self._commit(writes)
        finally:
            # Cut short: nobody may wait for ever.
            self._closing = True
            for write in (*writes, *self._waiting):
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
        results: dict[int, Any] = {}
        async with self._begin() as connection:
            for batch in dict.fromkeys(write.batch for write in writes):
                members = [n for n, write in enumerate(writes) if write.batch == batch]
                answers = await batch(connection, [writes[n].item for n in members])
                results.update(zip(members, answers, strict=True))
        return [results[n] for n in range(len(writes))]

    async def _commit_one_by_one(self, writes: Sequence[_Write], error: Exception) -> None:
        """One item that the database refuses must not fail the others that shared its batch."""
        if len(writes) == 1:
            _fail(writes[0], error)
            return
        for write in writes:
            await self._commit([write])


def _fail(write: _Write, error: Exception) -> None:
    if not write.done.done():
        write.done.set_exception(error)
        # Its caller may have been cancelled; then nobody reads the exception.
        write.done.exception()
