"""An executor of the roster: one row, which it keeps up to date and the operator writes into."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import false, true
from sqlmodel import Field, SQLModel

from asynctasks.instants import UtcDateTime


class ExecutorRow(SQLModel, table=True):
    """The table of executors, the roster: each as it last reported itself."""

    __tablename__: ClassVar[Any] = "executors"

    name: str = Field(primary_key=True)
    queue: str = Field(index=True)
    pod: str | None = None
    """The pod it runs in; None outside Kubernetes."""
    concurrency: int
    running: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Attempts in hand at the last report."""
    consuming: bool = Field(default=True, sa_column_kwargs={"server_default": true()})
    """False once it has left its queue: with nothing running, it has drained."""
    draining: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """Written by the operator: it is to leave its queue, and to come back when this is False."""
    idle_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Since when nothing runs; None while something does."""
    seen_at: datetime = Field(sa_type=UtcDateTime)
