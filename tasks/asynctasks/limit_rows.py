"""What is kept of limits and pauses beside the file that declares them: changes, and their state.

How many attempts run is in no row here: it is counted from the tasks.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import JSON, Column, Enum
from sqlmodel import Field, SQLModel

from asynctasks.instants import UtcDateTime


class LimitRow(SQLModel, table=True):
    """The table of limits: one row for each that has ever been asked for."""

    __tablename__: ClassVar[Any] = "limits"

    name: str = Field(primary_key=True)
    changed: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    """What somebody has set in place of the file's: concurrency, ratePerSecond, burst."""
    allowed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When all starts so far would have been spread evenly at the rate (GCRA's arrival time)."""
    turn: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    """How far fairness has come: the turn of whoever had the last one."""

    failures: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Attempts in a row that failed by the upstream's fault."""
    failing_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    opened_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Since when the upstream is taken for down; None while the breaker is closed."""
    open_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the next probe may start."""
    openings: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How often it was opened, or stayed open after a probe, without a success between."""
    successes: int | None = None
    """Since it was closed, until there are enough of them: so many may run at once, and one."""


class LimitKeyRow(SQLModel, table=True):
    """The table of those who share a limit and are ahead of the others."""

    __tablename__: ClassVar[Any] = "limit_keys"

    name: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    turn: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    """Whose is lowest is next; each start adds one by its weight."""
    allowed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ReservedPlacesRow(SQLModel, table=True):
    """The table of places under limits that a process has taken ahead of the tasks it will add.

    They count as in hand, and each task that is added in one of them takes it.
    """

    __tablename__: ClassVar[Any] = "reserved_places"

    operation: str = Field(primary_key=True)
    fair_key: str = Field(primary_key=True)
    holder: str = Field(primary_key=True)
    """The process that has reserved them."""
    places: int
    """How many are left."""
    reserved_at: datetime = Field(sa_type=UtcDateTime)


class PausedKind(StrEnum):
    """What can be paused."""

    QUEUE = "queue"
    OPERATION = "operation"
    LIMIT = "limit"


def _values(kinds: type[PausedKind]) -> list[str]:
    return [kind.value for kind in kinds]


class PauseRow(SQLModel, table=True):
    """The table of what is paused: what runs goes on, nothing starts."""

    __tablename__: ClassVar[Any] = "pauses"

    kind: PausedKind = Field(
        sa_column=Column(
            Enum(
                PausedKind,
                native_enum=False,
                length=16,
                values_callable=_values,
            ),
            primary_key=True,
        )
    )
    name: str = Field(primary_key=True)
    paused_at: datetime = Field(sa_type=UtcDateTime)
    paused_by: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Who did it; empty where callers are not told apart."""
