"""The chunks of blobs in the task database: one row each, written and read by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select
from sqlmodel import SQLModel

from asynctasks.blob import BlobChunkRow
from asynctasks.errors import BlobLostError

if TYPE_CHECKING:
    from asynctasks.database import Database

CHUNK_BYTES = 262_144
"""A transfer holds one at a time, and each is a transaction of its own."""

_chunks = SQLModel.metadata.tables[str(BlobChunkRow.__tablename__)]


class DatabaseChunks:
    """See `Chunks`. Nothing else is needed, and blobs are backed up with the tasks."""

    chunk_bytes = CHUNK_BYTES

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, name: str, number: int, data: bytes) -> None:
        """Keep a chunk."""
        async with self._database.statement() as connection:
            await connection.execute(_PUT, {"name": name, "number": number, "data": data})

    async def get(self, name: str, number: int) -> bytes:
        """A chunk; raises BlobLostError."""
        async with self._database.read() as connection:
            found = await connection.execute(_GET, {"of": name, "at": number})
            data = found.scalar_one_or_none()
        if data is None:
            raise BlobLostError
        return data

    async def delete(self, name: str) -> None:
        """Forget all chunks of a blob, if there are any."""
        async with self._database.write() as connection:
            await connection.execute(_DELETE, {"of": name})

    async def check(self) -> None:
        """The migrations have made the table."""


_OF = _chunks.c.name == bindparam("of")
_PUT = insert(_chunks)
_GET = select(_chunks.c.data).where(_OF, _chunks.c.number == bindparam("at"))
_DELETE = delete(_chunks).where(_OF)
