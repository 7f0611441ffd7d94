"""Deletes blobs that no task refers to: of forgotten tasks, and those that were never whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from asyncproxy.metrics import RELAY_ORPHANS

if TYPE_CHECKING:
    from asynctasks.blobs.blobs import Blobs

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Orphans:
    """The duty. Any number of relays may delete the same: what is gone is no fault."""

    blobs: Blobs
    batch: int = 50

    async def delete(self) -> bool:
        """Delete a batch of them; whether there may be more.

        Raises DatabaseUnavailableError, BlobStoreUnavailableError.
        """
        deleted = await self.blobs.delete_orphans(limit=self.batch)
        RELAY_ORPHANS.inc(deleted)
        if deleted:
            log.info("orphaned blobs deleted", blobs=deleted)
        return deleted == self.batch
