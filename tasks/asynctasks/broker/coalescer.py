"""What is asked for in one turn of the event loop, done together in the next.

A group commit wakes its writers in one turn, so what each does then can be one message for all
(docs/decisions/0006-what-ends-together-travels-together.md).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ItemT = TypeVar("ItemT")


class Coalescer(Generic[ItemT]):
    """Does together what is asked for in one turn of the event loop.

    There is no timer: an item that comes alone is done in the next turn.
    """

    def __init__(
        self, tasks: asyncio.TaskGroup, do: Callable[[list[ItemT]], Awaitable[None]]
    ) -> None:
        self._tasks = tasks
        self._do = do
        self._items: list[ItemT] = []
        self._done: asyncio.Future[None] | None = None

    async def add(self, item: ItemT) -> None:
        """Have the item done with the others of this turn; returns, or raises, when that is over.

        A caller that is cancelled meanwhile does not keep them from being done.
        """
        if self._done is None:
            self._done = asyncio.get_running_loop().create_future()
            self._tasks.create_task(self._do_all(self._done))
        self._items.append(item)
        await asyncio.shield(self._done)

    async def _do_all(self, done: asyncio.Future[None]) -> None:
        items, self._items, self._done = self._items, [], None
        try:
            await self._do(items)
        except Exception as error:  # noqa: BLE001 - it belongs to those who asked
            done.set_exception(error)
            done.exception()  # all of them may have been cancelled
        finally:
            if not done.done():
                done.set_result(None)
