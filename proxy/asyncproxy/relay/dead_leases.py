"""Queues the tasks of executors that are gone: their leases have run out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from asyncproxy.metrics import RELAY_RETURNED
from asyncproxy.relay.bad_rows import BadRows
from asyncproxy.relay.telling import log_moved, tell
from asynctasks.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from asynctasks.broker.protocol import Broker
    from asynctasks.statements.upkeep import Upkeep

SETTLE_SECONDS = 5.0
"""After an outage of the database executors renew their leases; until then they only seem dead."""

log = structlog.get_logger(__name__)


class DeadLeases:
    """The duty; it keeps in mind whether the database was away."""

    def __init__(self, upkeep: Upkeep, broker: Broker, *, batch: int = 200) -> None:
        self._upkeep = upkeep
        self._broker = broker
        self._batch = batch
        self._bad_rows = BadRows("dead_leases")
        self._was_away = False

    async def end(self) -> bool:
        """Queue a batch of them, or end those that were to be cancelled; whether there may be more.

        Raises DatabaseUnavailableError.
        """
        try:
            if self._was_away:
                await self._upkeep.ping()
                await asyncio.sleep(SETTLE_SECONDS)
                self._was_away = False
            return await self._end()
        except DatabaseUnavailableError:
            self._was_away = True
            raise

    async def _end(self) -> bool:
        dead = await self._upkeep.dead(limit=self._batch + len(self._bad_rows))
        batch = self._bad_rows.without(dead)[: self._batch]
        moved = await self._bad_rows.apart(batch, self._upkeep.return_dead)
        RELAY_RETURNED.inc(len(moved))
        if moved:
            cancelled = sum(task.status.is_final for task in moved)
            log.warning("tasks of dead executors returned", tasks=len(moved), cancelled=cancelled)
        log_moved(moved)
        await tell(self._broker, moved)
        # None where another relay has just taken them.
        return bool(moved) and len(batch) == self._batch
