"""A proxy that shares callers' quotas with the others: one row, which it keeps up to date."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlmodel import Field, SQLModel

from asynctasks.instants import UtcDateTime


class ProxyRow(SQLModel, table=True):
    """The table of proxies that have quotas to share; without quotas it is empty."""

    __tablename__: ClassVar[Any] = "proxies"

    name: str = Field(primary_key=True)
    seen_at: datetime = Field(sa_type=UtcDateTime)
