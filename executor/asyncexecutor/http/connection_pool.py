"""The connections that bear no call at present, to be used again for a while."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncexecutor.http.connection import Connection, Origin

IDLE_SECONDS = 15.0
"""How long a connection is kept without a call; many servers close theirs not much later."""


class ConnectionPool:
    """Idle connections by where they lead; the one that was used last is used next."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[Connection]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        """How many there are."""
        return sum(map(len, self._idle.values()))

    def take(self, origin: Origin) -> Connection | None:
        """One that leads there, if there is any; who takes it keeps or aborts it."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_open:
                return connection
        return None

    def keep(self, connection: Connection) -> None:
        """Take one in."""
        loop = asyncio.get_running_loop()
        connection.rest(since=loop.time())
        self._idle.setdefault(connection.origin, []).append(connection)
        if self._timer is None:
            self._timer = loop.call_later(IDLE_SECONDS, self._expire)

    def forget(self, connection: Connection) -> None:
        """Note that one has ended, whether it was idle or not."""
        idle = self._idle.get(connection.origin)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def shrink(self, size: int) -> None:
        """End those that have been idle longest, until so many are left."""
        excess = self.size - size
        if excess <= 0:
            return
        everyone = [connection for idle in self._idle.values() for connection in idle]
        everyone.sort(key=lambda connection: connection.idle_since)
        for connection in everyone[:excess]:
            self._end(connection)

    def close(self) -> None:
        """End all of them."""
        self.shrink(0)
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        oldest_allowed = loop.time() - IDLE_SECONDS
        left: list[float] = []
        for origin, idle in list(self._idle.items()):
            for connection in [each for each in idle if each.idle_since <= oldest_allowed]:
                self._end(connection)
            if idle:
                left.append(idle[0].idle_since)
            else:
                del self._idle[origin]
        if left:
            self._timer = loop.call_at(min(left) + IDLE_SECONDS, self._expire)

    def _end(self, connection: Connection) -> None:
        self._idle[connection.origin].remove(connection)
        connection.abort()
