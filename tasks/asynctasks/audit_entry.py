"""What is kept of a change that a caller has made or was refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlmodel import Field, SQLModel

from asynctasks.instants import UtcDateTime


class AuditEntryRow(SQLModel, table=True):
    """The table of audit entries. None is ever changed."""

    __tablename__: ClassVar[Any] = "audit_entries"

    id: UUID = Field(primary_key=True)
    told_at: datetime = Field(sa_type=UtcDateTime, index=True)
    """By the clock of the proxy that was asked."""
    action: str
    actor: str
    tenant: str
    operation: str | None = None
    task_id: UUID | None = Field(default=None, index=True)
    """The task may be gone: entries have a retention of their own."""
    target: str | None = None
    """What was changed where that is no task: a queue, an operation or a limit."""
    address: str | None = None
    trace_id: str | None = None
    result: str
    status: int | None = None
