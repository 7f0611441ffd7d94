"""The network addresses of hosts, looked up once in a while."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` has it: family, kind, protocol, name and where."""
Lookup = Callable[[str, int], Awaitable[list[Address]]]


class Hosts(Protocol):
    """Knows where hosts can be reached."""

    async def of(self, host: str, port: int) -> list[Address]:
        """See `HostAddresses`."""
        ...


FRESH_SECONDS = 10.0
"""How long a lookup's answer is used: a service that has moved is found so soon."""
MAX_HOSTS = 1_000


@dataclass(slots=True)
class _Host:
    lookup: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Who comes while it is looked up waits for that."""
    addresses: deque[Address] = field(default_factory=deque[Address])
    fresh_until: float = 0.0


class HostAddresses:
    """Looks hosts up by the system's resolver."""

    def __init__(self, *, lookup: Lookup | None = None) -> None:
        self._lookup = lookup or system_lookup
        self._hosts: dict[tuple[str, int], _Host] = {}

    async def of(self, host: str, port: int) -> list[Address]:
        """Where the host can be reached, another one first each time; raises OSError, UnicodeError.

        UnicodeError says that no name can be so.
        """
        numeric = _numeric(host, port)
        if numeric:
            return numeric
        known = self._hosts.get((host, port))
        if known is None:
            if len(self._hosts) >= MAX_HOSTS:
                del self._hosts[next(iter(self._hosts))]
            known = self._hosts[host, port] = _Host()
        loop = asyncio.get_running_loop()
        async with known.lookup:
            if loop.time() >= known.fresh_until:
                known.addresses = deque(await self._lookup(host, port))
                known.fresh_until = loop.time() + FRESH_SECONDS
        known.addresses.rotate(-1)
        return list(known.addresses)


async def system_lookup(host: str, port: int) -> list[Address]:
    """What the system's resolver knows; raises OSError, UnicodeError."""
    loop = asyncio.get_running_loop()
    flags = socket.AI_ADDRCONFIG
    return [*await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)]


def _numeric(host: str, port: int) -> list[Address]:
    """The address that the host is itself; empty where it is a name."""
    try:
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)]
    except (OSError, UnicodeError):
        return []
