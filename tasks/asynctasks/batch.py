"""A batch: one action on all tasks that fit a filter, carried out step by step; one row each."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

from sqlalchemy import JSON, Column, Enum, Index, text
from sqlalchemy import Uuid as UuidType
from sqlmodel import Field, SQLModel

from asynctasks.instants import UtcDateTime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import RowMapping


class BatchAction(StrEnum):
    """What is done with each task, as the call for one task does it."""

    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"


class BatchStatus(StrEnum):
    """Where a batch stands."""

    QUEUED = "queued"
    """Accepted and committed; no step of it has been made."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    """Each task that fitted has had its turn; the counts say what came of it."""
    CANCELLED = "cancelled"
    """Its owner has ended it; what was done until then stays."""

    @property
    def is_final(self) -> bool:
        """Whether it will not change any more."""
        return self in (BatchStatus.SUCCEEDED, BatchStatus.CANCELLED)


UNFINISHED = "status IN ('queued', 'running')"


def _values(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


def _enum(words: type[StrEnum]) -> Enum:
    return Enum(words, native_enum=False, length=16, values_callable=_values)


class Batch(SQLModel):
    """A batch as its row stands. Every step adds one to `version`."""

    id: UUID = Field(sa_column=Column(UuidType(), primary_key=True))
    version: int = 1
    action: BatchAction = Field(sa_column=Column(_enum(BatchAction), nullable=False))
    status: BatchStatus = Field(
        default=BatchStatus.QUEUED, sa_column=Column(_enum(BatchStatus), nullable=False)
    )
    principal: str = ""
    """Who asked for it; empty where callers are not told apart."""
    tenant: str = ""
    filter: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """In the words of `GET /tasks`."""
    listed: list[dict[str, Any]] | None = Field(
        default=None, sa_column=Column(JSON(none_as_null=True))
    )
    """The parts of all tasks with which whoever asked might do it then; None where that is all."""

    created_at: datetime = Field(sa_type=UtcDateTime)
    """By the clock of the proxy that took it; tasks that were created later are left alone."""
    stepped_at: datetime = Field(sa_type=UtcDateTime)
    """When its last step was made: of several batches the one that waits longest is next."""
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    found_until: UUID | None = Field(default=None, sa_column=Column(UuidType()))
    """The id above which tasks are still to be looked for."""
    locked: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Ids of tasks that were found while others changed them: their turn is still to come."""
    matched: int = 0
    """How many tasks were found so far."""
    done: int = 0
    skipped: int = 0
    """Of those found, the ones that others had changed before their turn."""
    failures: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """How many it could not be done with, by the name of the problem."""

    @property
    def counts(self) -> dict[str, int]:
        """How far it has come."""
        return {
            "matched": self.matched,
            "done": self.done,
            "skipped": self.skipped,
            "failed": sum(self.failures.values()),
        }

    @property
    def outcome(self) -> str:
        """For people: `batch 0198… matched=3 done=2 skipped=0 failed=1`."""
        counts = (f"{name}={count}" for name, count in self.counts.items())
        return " ".join([f"batch {self.id}", *counts])

    @classmethod
    def of_row(cls, row: Mapping[str, Any] | RowMapping) -> Self:
        """The batch of a row, which holds nothing that would need to be checked."""
        return cls.model_construct(**row)


class BatchRow(Batch, table=True):
    """The table of batches."""

    __tablename__: ClassVar[Any] = "batches"
    __table_args__ = (
        Index("ix_batches_principal", "principal", "id"),
        Index("ix_batches_finished", "finished_at"),
        # Which relays look for all the time.
        Index(
            "ix_batches_unfinished",
            "stepped_at",
            postgresql_where=text(UNFINISHED),
            sqlite_where=text(UNFINISHED),
        ),
    )
