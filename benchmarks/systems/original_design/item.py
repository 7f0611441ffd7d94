"""The item that proxy and executor share through the database."""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, Column, DateTime
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

QUEUE = os.environ["BENCH_PREFIX"] + ".clients"
BROKER_URL = os.environ["BENCH_BROKER_URL"]
PREFETCH = 100


class Item(SQLModel, table=True):
    """One request, and its result once there is one."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    status: str = Field(default="new", index=True)
    request: dict[str, Any] = Field(sa_column=Column(JSON))
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    response_status: int | None = None
    created_at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), sa_column=Column(DateTime(timezone=True))
    )
    updated_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))


engine = create_async_engine(
    os.environ["BENCH_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
)
Session = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
