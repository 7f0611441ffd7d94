"""Keeps the leases of running tasks, and learns of cancels and lost leases on the way."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NoReturn

import structlog

from asynctasks.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from asyncexecutor.running_attempts import RunningAttempts
    from asynctasks.statements.claims import Claims

STUCK_SECONDS = 60.0
"""A database that hangs holds one look for less than half of it."""

log = structlog.get_logger(__name__)


class Leases:
    """Keeps the leases of all attempts that one executor runs, by one statement.

    It looks at them every `watch_seconds`, and every third of a lease renews them as well.
    """

    def __init__(
        self,
        claims: Claims,
        *,
        running: RunningAttempts,
        lease_seconds: float,
        watch_seconds: float,
    ) -> None:
        self._running = running
        self._claims = claims
        self._lease_seconds = lease_seconds
        self._watch_seconds = watch_seconds
        self._ticked_at = time.monotonic()

    async def run(self) -> NoReturn:
        """Keep them until cancelled; a database that is away is asked again."""
        renewed_at = 0.0
        while True:
            self._ticked_at = time.monotonic()
            await asyncio.sleep(self._watch_seconds)
            running = self._running.numbers
            if not running:
                continue
            is_renewal_due = time.monotonic() - renewed_at >= self._lease_seconds / 3
            ask = self._claims.renew if is_renewal_due else self._claims.look
            try:
                held = await ask(running)
            except DatabaseUnavailableError as error:
                log.warning("leases not renewed", running=len(running), reason=str(error))
                continue
            if is_renewal_due:
                renewed_at = time.monotonic()
            self._running.observe(running, held)

    @property
    def fault(self) -> str | None:
        """What is wrong with the loop itself, which no outage of the database is."""
        silent_seconds = time.monotonic() - self._ticked_at - self._watch_seconds
        if silent_seconds < STUCK_SECONDS:
            return None
        return f"leases were not looked at for {silent_seconds:.0f} s"
