"""The operations as they stand now, in a process that goes on while they change."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from asynctasks.operations.operation import Operations

    Follower = Callable[[Operations], Awaitable[Callable[[], None]]]
    """Checks operations and makes ready for them; what it returns, which cannot fail, swaps."""


class LiveOperations:
    """What a process has of operations, and those in it who follow when that changes.

    All of them take a change over in one turn of the event loop, or none does.
    """

    def __init__(self, current: Operations) -> None:
        self.current = current
        self._followers: list[Follower] = []
        self._changing = asyncio.Lock()

    @asynccontextmanager
    async def followed_by(self, follower: Follower) -> AsyncGenerator[None]:
        """Lead the follower to the current operations, and to each change until it is left.

        Raises what the follower raises at the current ones.
        """
        async with self._changing:
            swap = await follower(self.current)
            swap()
            self._followers.append(follower)
        try:
            yield
        finally:
            self._followers.remove(follower)

    async def change(self, operations: Operations) -> None:
        """Lead all to these operations; raises what the first raises who cannot follow."""
        async with self._changing:
            swaps = [await follower(operations) for follower in self._followers]
            for swap in swaps:
                swap()
            self.current = operations
