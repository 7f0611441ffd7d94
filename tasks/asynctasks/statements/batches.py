"""The statements on the table of batches; what is done to tasks is in `batch_steps`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, text, update
from sqlmodel import SQLModel

from asynctasks.batch import UNFINISHED, Batch, BatchRow, BatchStatus
from asynctasks.errors import BatchFinishedError, BatchNotFoundError
from asynctasks.instants import seconds_from_now
from asynctasks.statements.conditions import NOW

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from asynctasks.database import Database

batches = SQLModel.metadata.tables[str(BatchRow.__tablename__)]


class Batches:
    """The table of batches. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Batch) -> None:
        """Store it; from then on it is carried out, whatever becomes of this process."""
        async with self._database.write() as connection:
            await connection.execute(insert(batches).values(batch.model_dump()))

    async def find(self, batch_id: UUID, *, principal: str) -> Batch:
        """The principal's batch; raises BatchNotFoundError."""
        async with self._database.read() as connection:
            row = (await connection.execute(_own(batch_id, principal))).mappings().one_or_none()
        if row is None:
            raise BatchNotFoundError
        return Batch.of_row(row)

    async def page(self, principal: str, *, before: UUID | None, size: int) -> Sequence[Batch]:
        """The newest of the principal's, below the id `before`."""
        newest = select(batches).where(batches.c.principal == principal)
        if before is not None:
            newest = newest.where(batches.c.id < before)
        async with self._database.read() as connection:
            found = await connection.execute(newest.order_by(batches.c.id.desc()).limit(size))
            return list(map(Batch.of_row, found.mappings()))

    async def cancel(self, batch_id: UUID, *, principal: str) -> Batch:
        """Let no further step of it be made; raises BatchNotFoundError, BatchFinishedError."""
        async with self._database.write() as connection:
            locked = await connection.execute(_own(batch_id, principal).with_for_update())
            row = locked.mappings().one_or_none()
            if row is None:
                raise BatchNotFoundError
            if (status := BatchStatus(row["status"])).is_final:
                raise BatchFinishedError(f"The batch has {_ENDED[status]}.")
            ended = await connection.execute(_CANCEL, {"batch_id": batch_id})
            return Batch.of_row(ended.mappings().one())

    async def unfinished(self, *, limit: int) -> Sequence[Batch]:
        """Those that wait longest for their next step."""
        async with self._database.read() as connection:
            found = await connection.execute(_UNFINISHED, {"max_rows": limit})
            return list(map(Batch.of_row, found.mappings()))

    async def purge(self, *, limit: int, retention_seconds: float) -> int:
        """Forget some that have finished longer ago than that; how many."""
        values = {"max_rows": limit, "age_seconds": -retention_seconds}
        async with self._database.write() as connection:
            return (await connection.execute(_PURGE, values)).rowcount


def _own(batch_id: UUID, principal: str) -> Any:
    return select(batches).where(batches.c.id == batch_id, batches.c.principal == principal)


_ENDED = {BatchStatus.SUCCEEDED: "succeeded", BatchStatus.CANCELLED: "been cancelled"}
_CANCEL = (
    update(batches)
    .where(batches.c.id == bindparam("batch_id"))
    .values(version=batches.c.version + 1, status=BatchStatus.CANCELLED, finished_at=NOW)
    .returning(batches)
)
_UNFINISHED = (
    select(batches)
    .where(text(UNFINISHED))
    .order_by(batches.c.stepped_at)
    .limit(bindparam("max_rows"))
)
_PURGE = delete(batches).where(
    batches.c.id.in_(
        select(batches.c.id)
        .where(batches.c.finished_at < seconds_from_now(bindparam("age_seconds")))
        .order_by(batches.c.finished_at)
        .limit(bindparam("max_rows"))
        .with_for_update(skip_locked=True)
    )
)
