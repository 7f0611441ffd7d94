"""A revision of an operation's declaration: one row, written once by whoever loads it first."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlmodel import Field, SQLModel

from asynctasks.instants import UtcDateTime


class OperationRevisionRow(SQLModel, table=True):
    """The table of revisions: which of two is the older, where files change while tasks wait."""

    __tablename__: ClassVar[Any] = "operation_revisions"

    operation: str = Field(primary_key=True)
    revision: str = Field(primary_key=True)
    first_seen_at: datetime = Field(sa_type=UtcDateTime)
    """When a proxy or an executor loaded it first, by the database's clock."""
