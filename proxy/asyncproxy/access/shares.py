"""How many proxies there are that share what callers may have."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from asynctasks.statements.proxies import Proxies

INTERVAL_SECONDS = 2.0
LEAVE_SECONDS = 2.0
"""How long a database that hangs may hold up the end."""


class Shares:
    """Counts this proxy among the others, as long as there is something to share."""

    def __init__(self, proxies: Proxies, *, has_quotas: Callable[[], bool]) -> None:
        self._proxies = proxies
        self._has_quotas = has_quotas
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.count = 1
        """How many there were when they were last counted, this one among them."""
        self.loop = Loop("quotas", self.beat, interval_seconds=INTERVAL_SECONDS)

    async def beat(self) -> None:
        """Say that this proxy is there, and count all; raises DatabaseUnavailableError."""
        if self._has_quotas():
            self.count = await self._proxies.beat(self._name)

    @asynccontextmanager
    async def counted(self) -> AsyncGenerator[None]:
        """Be counted before the first call is taken; at the end let the others have its share."""
        with suppress(DatabaseUnavailableError):
            await self.beat()
        try:
            yield
        finally:
            if self._has_quotas():
                with suppress(DatabaseUnavailableError, TimeoutError):
                    async with asyncio.timeout(LEAVE_SECONDS):
                        await self._proxies.leave(self._name)
