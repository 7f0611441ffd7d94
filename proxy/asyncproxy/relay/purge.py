"""Forgets what is old: finished tasks and batches, executors that are gone, turns."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

import structlog

from asyncproxy.metrics import RELAY_PURGED
from asynctasks.operations.kept_tasks import KeptTasks, kept_tasks
from asynctasks.statements.old_tasks import BEGINNING, OldTasks

if TYPE_CHECKING:
    from datetime import datetime

    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.statements.batches import Batches
    from asynctasks.statements.releases import HeldTasks
    from asynctasks.statements.roster import Roster

UNSEEN_SECONDS = 3_600.0
"""An executor that has not reported itself for so long is gone: it was killed, or its node was."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Purge:
    """Four duties; all return whether there may be more, and raise DatabaseUnavailableError.

    No row is read for it, so none can be a bad one.
    """

    old_tasks: OldTasks
    roster: Roster
    held: HeldTasks
    batches: Batches
    operations: LiveOperations
    _: KW_ONLY
    retention_seconds: float
    """Of tasks of which the operations say no other, and of batches."""
    batch: int = 1_000
    _after: dict[KeptTasks, datetime] = field(default_factory=dict["KeptTasks", "datetime"])
    """Up to where what is old was forgotten. After a start or a change it is looked for anew."""

    async def tasks(self) -> bool:
        """Forget a batch of old tasks of each retention that there is."""
        every = kept_tasks(self.operations.current, default_seconds=self.retention_seconds)
        for changed in self._after.keys() - set(every):
            del self._after[changed]
        count, has_more = 0, False
        for kept in every:
            after = self._after.get(kept, BEGINNING)
            purged = await self.old_tasks.purge(kept, limit=self.batch, after=after)
            RELAY_PURGED.inc(purged.count)
            self._after[kept] = purged.after
            count += purged.count
            has_more |= purged.has_more
        if count:
            log.info("finished tasks forgotten", tasks=count)
        return has_more

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
