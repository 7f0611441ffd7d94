"""A blob: a body that is too large for its task's row. Its chunks may be kept elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import DDL, BigInteger, Column, LargeBinary, event
from sqlalchemy import Uuid as UuidType
from sqlmodel import Field, SQLModel

from asynctasks.instants import UtcDateTime

ORPHANED_SECONDS = 3_600.0
"""How long after its writer was last heard of a blob may be the one that a row will refer to."""


class BlobRow(SQLModel, table=True):
    """The table of blobs. A row is there before the first chunk, so that none is lost sight of."""

    __tablename__: ClassVar[Any] = "blobs"

    name: str = Field(primary_key=True)
    task_id: UUID = Field(sa_column=Column(UuidType(), nullable=False, index=True))
    """The task whose row may refer to it; it is stored after the blob."""
    size: int | None = Field(default=None, sa_type=BigInteger)
    """In bytes; None until it is whole."""
    touched_at: datetime = Field(sa_type=UtcDateTime, index=True)
    """When its writer was last heard of. One that no task refers to is kept for a while after."""


class BlobChunkRow(SQLModel, table=True):
    """The table of the blobs' chunks, where the task database is the blob store."""

    __tablename__: ClassVar[Any] = "blob_chunks"

    name: str = Field(primary_key=True)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


# Bodies that are large are packed already, mostly: to try once more would only cost CPU.
event.listen(
    SQLModel.metadata.tables[str(BlobChunkRow.__tablename__)],
    "after_create",
    DDL("ALTER TABLE blob_chunks ALTER COLUMN data SET STORAGE EXTERNAL").execute_if(
        dialect="postgresql"
    ),
)
