"""Forgets what is old: finished tasks and batches, executors that are gone, turns."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

import structlog

from asyncproxy.metrics import RELAY_PURGED

if TYPE_CHECKING:
    from asynctasks.statements.batches import Batches
    from asynctasks.statements.releases import HeldTasks
    from asynctasks.statements.roster import Roster
    from asynctasks.statements.upkeep import Upkeep

UNSEEN_SECONDS = 3_600.0
"""An executor that has not reported itself for so long is gone: it was killed, or its node was."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Purge:
    """Four duties; all return whether there may be more, and raise DatabaseUnavailableError.

    No row is read for it, so none can be a bad one.
    """

    upkeep: Upkeep
    roster: Roster
    held: HeldTasks
    batches: Batches
    _: KW_ONLY
    retention_seconds: float
    batch: int = 1_000

    async def tasks(self) -> bool:
        """Forget a batch of old tasks."""
        purged = await self.upkeep.purge(limit=self.batch, retention_seconds=self.retention_seconds)
        RELAY_PURGED.inc(purged)
        if purged:
            log.info("finished tasks forgotten", tasks=purged)
        return purged == self.batch

    async def old_batches(self) -> bool:
        """Forget batches that finished as long ago as tasks are kept."""
        seconds = self.retention_seconds
        purged = await self.batches.purge(limit=self.batch, retention_seconds=seconds)
        return purged == self.batch

    async def executors(self) -> bool:
        """Take executors that are gone off the roster; all at once, as they are few."""
        forgotten = await self.roster.forget(older_than_seconds=UNSEEN_SECONDS)
        if forgotten:
            log.info("executors forgotten", executors=forgotten)
        return False

    async def turns(self) -> bool:
        """Forget who is ahead of nobody any more of those who share limits."""
        await self.held.forget_turns()
        await self.held.forget_reserved()
        return False
