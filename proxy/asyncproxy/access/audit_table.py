"""Keeps the audit's entries in the task database, beside their lines in the log.

They are stored a moment later, many at once: no caller waits for it. A process that is killed has
lost those of the last second, and the log has them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from asyncproxy.access.audit import log_entry
from asyncproxy.settings import AuditPlace
from asynctasks.audit_entry import AuditEntryRow
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.instants import utc_now
from asynctasks.loop import Loop
from asynctasks.statements.audit_entries import AuditEntries
from asynctasks.task import new_task_id

if TYPE_CHECKING:
    from asyncproxy.access.audit import Entry
    from asyncproxy.settings import ProxySettings
    from asynctasks.database import Database

MAX_WAITING = 10_000
"""With the database away for longer than that takes, the oldest are in the log alone."""
BATCH = 500
STORE_SECONDS = 1.0
PURGE_SECONDS = 60.0
LAST_SECONDS = 5.0
"""How long a process that stops may take for its last entries."""

log = structlog.get_logger(__name__)


class AuditTable:
    """The entries of one proxy, on their way to the database."""

    def __init__(self, entries: AuditEntries, *, retention_seconds: float) -> None:
        self._entries = entries
        self._retention_seconds = retention_seconds
        self._waiting = deque[AuditEntryRow]()
        self._dropped = 0
        self.loops = (
            Loop("audit", self._store, interval_seconds=STORE_SECONDS),
            Loop("purge the audit", self._purge, interval_seconds=PURGE_SECONDS),
        )

    def write(self, entry: Entry) -> None:
        """Write its line, and store it soon."""
        log_entry(entry)
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(_row(entry))

    async def close(self) -> None:
        """Store what is left, if that can be done."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                while await self._store():
                    pass
        except (DatabaseUnavailableError, TimeoutError):
            self._dropped += len(self._waiting)
        self._tell_dropped()

    async def _store(self) -> bool:
        batch = list(islice(self._waiting, BATCH))
        if batch:
            await self._entries.add(batch)
        for row in batch:
            # Meanwhile the oldest may have made way for newer ones.
            if self._waiting and self._waiting[0] is row:
                self._waiting.popleft()
        self._tell_dropped()
        return bool(self._waiting)

    async def _purge(self) -> bool:
        purged = await self._entries.purge(limit=BATCH, retention_seconds=self._retention_seconds)
        return purged == BATCH

    def _tell_dropped(self) -> None:
        if self._dropped:
            log.error("audit entries are in the log alone", entries=self._dropped)
            self._dropped = 0


def audit_table(settings: ProxySettings, database: Database) -> AuditTable | None:
    """Where the entries are kept, if they are."""
    if settings.audit is not AuditPlace.TABLE:
        return None
    retention_seconds = settings.audit_retention_seconds
    return AuditTable(AuditEntries(database), retention_seconds=retention_seconds)


def _row(entry: Entry) -> AuditEntryRow:
    return AuditEntryRow(id=new_task_id(), told_at=utc_now(), **asdict(entry))
