"""Which blobs there are, wherever their chunks are kept: for `asynctasks.blobs` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, or_, select, update

from asynctasks.instants import seconds_from_now
from asynctasks.statements.conditions import IS_RUNNING, blobs, tasks

if TYPE_CHECKING:
    from uuid import UUID

    from asynctasks.database import Database


class BlobRegistry:
    """The table of blobs. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, name: str, *, task_id: UUID) -> None:
        """Say that a blob is being written, before its first chunk is."""
        async with self._database.statement() as connection:
            await connection.execute(_ADD, {"name": name, "task_id": task_id})

    async def touch(self, name: str) -> None:
        """Say that it is still being written."""
        async with self._database.statement() as connection:
            await connection.execute(_TOUCH, {"of": name})

    async def complete(self, name: str, *, size: int) -> None:
        """Say that it is whole."""
        async with self._database.statement() as connection:
            await connection.execute(_COMPLETE, {"of": name, "whole_size": size})

    async def size(self, name: str) -> int | None:
        """How many bytes it has; None where it is not there, or not whole."""
        async with self._database.read() as connection:
            return (await connection.execute(_SIZE, {"of": name})).scalar_one_or_none()

    async def orphans(self, *, limit: int, age_seconds: float) -> list[str]:
        """Blobs that no task refers to, and whose writers have not been heard of for so long."""
        async with self._database.read() as connection:
            parameters = {"max_rows": limit, "age_seconds": -age_seconds}
            return list((await connection.execute(_ORPHANS, parameters)).scalars())

    async def remove(self, name: str) -> None:
        """Forget it, after its chunks."""
        async with self._database.statement() as connection:
            await connection.execute(_REMOVE, {"of": name})


_OF = blobs.c.name == bindparam("of")
_ADD = insert(blobs).values(touched_at=seconds_from_now(0.0))
_TOUCH = update(blobs).where(_OF).values(touched_at=seconds_from_now(0.0))
_COMPLETE = (
    update(blobs).where(_OF).values(touched_at=seconds_from_now(0.0), size=bindparam("whole_size"))
)
_SIZE = select(blobs.c.size).where(_OF)
_REMOVE = delete(blobs).where(_OF)
_ITS_TASK = select(tasks.c.id).where(
    tasks.c.id == blobs.c.task_id,
    or_(
        tasks.c.body_blob == blobs.c.name,
        tasks.c.response_blob == blobs.c.name,
        # Its executor may have a whole response, and wait for the database to record it.
        IS_RUNNING,
    ),
)
_ORPHANS = (
    select(blobs.c.name)
    .where(blobs.c.touched_at < seconds_from_now(bindparam("age_seconds")), ~_ITS_TASK.exists())
    .order_by(blobs.c.touched_at)
    .limit(bindparam("max_rows"))
)
