"""The statements on the table of audit entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from asynctasks.audit_entry import AuditEntryRow
from asynctasks.instants import seconds_from_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asynctasks.database import Database

_entries = SQLModel.metadata.tables[str(AuditEntryRow.__tablename__)]


class AuditEntries:
    """The table of audit entries. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entries: Sequence[AuditEntryRow]) -> None:
        """Store those that are not there yet: whoever adds them may not know whether it did."""
        async with self._database.write() as connection:
            rows = [entry.model_dump() for entry in entries]
            await connection.execute(_ADD[connection.dialect.name], rows)

    async def purge(self, *, limit: int, retention_seconds: float) -> int:
        """Forget a batch of those that are older; how many."""
        async with self._database.write() as connection:
            values = {"max_rows": limit, "age_seconds": -retention_seconds}
            return (await connection.execute(_PURGE, values)).rowcount


_ADD: dict[str, Any] = {
    "postgresql": postgresql.insert(_entries).on_conflict_do_nothing(),
    "sqlite": sqlite.insert(_entries).on_conflict_do_nothing(),
}
_PURGE = delete(_entries).where(
    _entries.c.id.in_(
        select(_entries.c.id)
        .where(_entries.c.told_at < seconds_from_now(bindparam("age_seconds")))
        .order_by(_entries.c.told_at)
        .limit(bindparam("max_rows"))
        .with_for_update(skip_locked=True)
    )
)
