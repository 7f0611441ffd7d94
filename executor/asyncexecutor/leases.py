"""Keeps the leases of running tasks, and learns of cancels and lost leases on the way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from asynctasks.loop import Loop

if TYPE_CHECKING:
    from asyncexecutor.running_attempts import RunningAttempts
    from asynctasks.statements.claims import Claims


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
        self._renewed_at = 0.0
        self.loop = Loop("leases", self._keep, interval_seconds=watch_seconds)

    async def _keep(self) -> None:
        running = self._running.numbers
        if not running:
            return
        is_renewal_due = time.monotonic() - self._renewed_at >= self._lease_seconds / 3
        held = await (self._claims.renew if is_renewal_due else self._claims.look)(running)
        if is_renewal_due:
            self._renewed_at = time.monotonic()
        self._running.observe(running, held)
