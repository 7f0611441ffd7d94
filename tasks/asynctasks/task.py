"""A task: one accepted call to one operation, and one row of the task database."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

import uuid_utils.compat
from sqlalchemy import (
    DDL,
    JSON,
    Column,
    Enum,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    event,
    false,
    text,
)
from sqlalchemy import Uuid as UuidType
from sqlmodel import Field, SQLModel

from asynctasks.instants import UtcDateTime
from asynctasks.response import Response
from asynctasks.traces.trace_context import trace_id_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import RowMapping


class TaskStatus(StrEnum):
    """Where a task stands. Only `queued` and `running` can still change by themselves."""

    QUEUED = "queued"
    """Accepted and committed; waits for an executor, a retry's backoff or its start time."""
    RUNNING = "running"
    """Claimed by an executor, whose lease has not run out."""
    SUCCEEDED = "succeeded"
    """The upstream answered, or the handler returned; the response is in the row."""
    FAILED = "failed"
    """No attempt succeeded and none will follow; the row says why."""
    CANCELLED = "cancelled"
    """Someone asked for its end before it had finished."""
    EXPIRED = "expired"
    """Its deadline passed before it had finished."""

    @property
    def is_final(self) -> bool:
        """Whether only a person's `retry` can still change it."""
        return self not in (TaskStatus.QUEUED, TaskStatus.RUNNING)


ALLOWED_MOVES: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.QUEUED: frozenset({TaskStatus.RUNNING, TaskStatus.CANCELLED, TaskStatus.EXPIRED}),
    TaskStatus.RUNNING: frozenset(set(TaskStatus) - {TaskStatus.RUNNING}),
    TaskStatus.SUCCEEDED: frozenset(),
    TaskStatus.FAILED: frozenset({TaskStatus.QUEUED}),
    TaskStatus.CANCELLED: frozenset({TaskStatus.QUEUED}),
    TaskStatus.EXPIRED: frozenset({TaskStatus.QUEUED}),
}
"""From each status, the statuses a task may take next. From a final one only `retry` leads on."""


def may_move(status: TaskStatus, to: TaskStatus) -> bool:
    """Whether a task may go from `status` to `to` in one step."""
    return to in ALLOWED_MOVES[status]


DEFAULT_PRIORITY = 5


def new_task_id() -> UUID:
    """A UUIDv7 (RFC 9562): ids sort by the time of their making, so new rows share index pages."""
    return uuid_utils.compat.uuid7()


UNSUCCESSFUL = "('failed', 'cancelled', 'expired')"
"""The final statuses that are rare, and that people look for."""

UNFINISHED = "status IN ('queued', 'running')"

STALE = f"mirrored_version < version AND (mirrored_version > 0 OR status IN {UNSUCCESSFUL})"
"""Rows that an AsyncTask has to show anew, or at all. A task that succeeds within its wait window
never is one, so the hot path pays nothing for the mirror."""


WAITS_FOR_JOB = "status = 'queued' AND upstream_job IS NOT NULL"
"""Rows of tasks that wait for the next poll of their upstream's job."""


def _where(condition: str, *, on_sqlite: str | None = None) -> dict[str, Any]:
    """A partial index holds only the rows that its query looks for.

    SQLite matches the condition by its words, and SQLAlchemy writes booleans as numbers there.
    """
    return {"postgresql_where": text(condition), "sqlite_where": text(on_sqlite or condition)}


def _values(statuses: type[TaskStatus]) -> list[str]:
    return [status.value for status in statuses]


class Task(SQLModel):
    """A task as its row stands. Every change of it adds one to `version`."""

    id: UUID = Field(default_factory=new_task_id, sa_column=Column(UuidType(), primary_key=True))
    version: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    """Counts the changes of this row: the ETag, the SSE id and the mirror's mark."""

    operation: str
    revision: str | None = None
    """Of the operation's declaration by which it was accepted; None where that was not kept."""
    queue: str
    principal: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Who submitted it; empty where callers are not told apart. Idempotency keys are theirs alone.
    """
    tenant: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The organisation of whom submitted it; empty where that has none."""
    priority: int = Field(
        default=DEFAULT_PRIORITY,
        sa_column=Column(SmallInteger, nullable=False, server_default=str(DEFAULT_PRIORITY)),
    )
    """0 to 9: of tasks that are held, those with the highest are released first."""
    fair_key: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Who it is for among those who share its operation's limits evenly; mostly empty."""
    counted: bool | None = None
    """Whether it counts in a quota of its tenant or its principal; of all others None."""
    idempotency_key: str | None = None
    fingerprint: str | None = None
    """A keyed digest of the arguments, to tell a repeat from another use of the same key."""

    coalescing_key: str | None = None
    """A digest of a call that others with the same one join, as long as it has not finished."""

    arguments: Any = Field(sa_column=Column(JSON, nullable=False))
    """What the caller sent, less the `writeOnly` parts; of a task that is only shown, its text."""
    sealed_arguments: str | None = Field(default=None, sa_column=Column(Text))
    """The `writeOnly` parts, encrypted (see `asynctasks.operations.sealing`)."""
    sealed_headers: str | None = Field(default=None, sa_column=Column(Text))
    """The caller's headers that its upstream gets, too, encrypted; None where there are none."""
    body_headers: list[list[str]] | None = Field(
        default=None, sa_column=Column(JSON(none_as_null=True))
    )
    """What describes the body that the caller sent, name and value each; None where that was JSON,
    or nothing, and so is in the arguments."""
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    """That body as it came, where it is small."""
    body_blob: str | None = None
    """The name of the blob that has it, where it is not."""
    labels: dict[str, str] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default="{}")
    )
    batch: str | None = None
    """The name that its caller gave the group that it is one of."""

    status: TaskStatus = Field(
        default=TaskStatus.QUEUED,
        sa_column=Column(
            Enum(
                TaskStatus,
                native_enum=False,
                length=16,
                values_callable=_values,
            ),
            nullable=False,
            server_default=TaskStatus.QUEUED.value,
        ),
    )
    attempt: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How often it was claimed. With the id it fences: only the newest attempt may finish it."""
    interruptions: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How many of those attempts ended with their executor instead of with an outcome."""
    drains: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How many of those attempts were given back: their executor had to leave, or a limit rests."""
    max_attempts: int
    attempts: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False, server_default="[]")
    )
    """The ended attempts: number, startedAt, finishedAt, outcome, executor, detail."""

    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    run_after: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """No executor may claim it earlier: a delayed start or a retry's backoff."""
    deadline: datetime | None = Field(default=None, sa_type=UtcDateTime)
    next_publish_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the relay publishes it, or, where it was published, may take its message for lost."""
    published: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """Whether a queued task should have a message on the broker."""

    executor: str | None = None
    """The executor that claimed it last."""
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempt_started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cancel_requested: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    asynctask: str | None = None
    """`namespace/name/uid` of the AsyncTask by which a person submitted it. It ends with that."""
    mirrored_version: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """The version that its AsyncTask shows; 0 where it has none."""
    callbacks: list[dict[str, Any]] | None = Field(
        default=None, sa_column=Column(JSON(none_as_null=True))
    )
    """Who is told of its end: `url`, `events`, the final statuses that they want to hear of, and
    `include`; None where nobody is. A trigger adds a delivery for each as the task ends."""
    delivery_of: UUID | None = Field(default=None, sa_column=Column(UuidType()))
    """The task whose end it tells of; of all tasks that are no delivery None."""
    traceparent: str | None = None
    """Where it stands in its caller's trace (W3C Trace Context); None where that has none."""
    tracestate: str | None = None
    reply_to: str | None = None
    """The reply queue of the proxy that accepted it; nobody need listen there any more."""

    upstream_job: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSON(none_as_null=True))
    )
    """What the upstream does after its answer (see `asynctasks.upstream_job`); with `queued` the
    task waits for the job's next poll, and is shown as running."""
    progress: int | None = None
    message: str | None = Field(default=None, sa_column=Column(Text))
    response_status: int | None = None
    response_content_type: str | None = None
    response_headers: list[list[str]] | None = Field(
        default=None, sa_column=Column(JSON(none_as_null=True))
    )
    """The others that are kept of the response's headers, each as its name and value."""
    response_body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    response_blob: str | None = None
    """The name of the blob that has the response's body, where it is too large for the row."""
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    """An RFC 9457 problem, where the task ended without an answer of the upstream."""

    @property
    def shown_status(self) -> TaskStatus:
        """Where it stands for whoever looks: one whose upstream's job goes on runs."""
        is_waiting = self.status is TaskStatus.QUEUED and self.upstream_job is not None
        return TaskStatus.RUNNING if is_waiting else self.status

    @property
    def counted_attempts(self) -> int:
        """How many of its attempts count in `max_attempts`: all but those that were given back."""
        return self.attempt - self.interruptions - self.drains

    @property
    def trace_id(self) -> str | None:
        """Of the trace that it is part of."""
        return trace_id_of(self.traceparent)

    @property
    def response(self) -> Response | None:
        """The upstream's answer, once there is one."""
        if self.response_status is None:
            return None
        return Response(
            self.response_status,
            self.response_content_type or "",
            self.response_body or b"",
            tuple((name, value) for name, value in self.response_headers or ()),
            blob=self.response_blob,
        )

    @classmethod
    def of_row(cls, row: Mapping[str, Any] | RowMapping) -> Self:
        """The task of a row, which holds nothing that would need to be checked."""
        return cls.model_construct(**row)


class TaskRow(Task, table=True):
    """The table of tasks. Statements are in Core, and rows are read as `Task`: see `of_row`."""

    __tablename__: ClassVar[Any] = "tasks"
    __table_args__ = (
        # For each group of equals the one that is due first, without a look at all behind it.
        Index(
            "ix_tasks_held",
            "queue",
            "operation",
            "priority",
            "fair_key",
            "next_publish_at",
            **_where(
                "status = 'queued' AND NOT published AND upstream_job IS NULL",
                on_sqlite="status = 'queued' AND published = 0 AND upstream_job IS NULL",
            ),
        ),
        # Polls are bound by no limit: their attempt has started long ago.
        Index(
            "ix_tasks_due_polls",
            "next_publish_at",
            **_where(
                "status = 'queued' AND NOT published AND upstream_job IS NOT NULL",
                on_sqlite="status = 'queued' AND published = 0 AND upstream_job IS NOT NULL",
            ),
        ),
        Index(
            "ix_tasks_published",
            "queue",
            "operation",
            "next_publish_at",
            **_where(
                "status = 'queued' AND published", on_sqlite="status = 'queued' AND published = 1"
            ),
        ),
        # Not on `lease_until`: few tasks run at a time, and so a renewal changes no index (HOT).
        Index("ix_tasks_running", "operation", "fair_key", **_where("status = 'running'")),
        Index("ix_tasks_upstream_jobs", "operation", "fair_key", **_where(WAITS_FOR_JOB)),
        Index("ix_tasks_unsuccessful", "status", "id", **_where(f"status IN {UNSUCCESSFUL}")),
        Index("ix_tasks_stale", "id", **_where(STALE)),
        Index(
            "ix_tasks_asynctask",
            "asynctask",
            **_where("asynctask IS NOT NULL AND status IN ('queued', 'running')"),
        ),
        Index("ix_tasks_operation", "operation", "id"),
        Index("ix_tasks_batch", "batch", "id", **_where("batch IS NOT NULL")),
        Index("ix_tasks_delivery_of", "delivery_of", "id", **_where("delivery_of IS NOT NULL")),
        # Empty where callers are not told apart, so that nobody pays for them there.
        Index("ix_tasks_principal", "principal", "id", **_where("principal <> ''")),
        *(
            Index(
                f"ix_tasks_{column}_counted",
                column,
                **_where(f"counted AND {UNFINISHED}", on_sqlite=f"counted = 1 AND {UNFINISHED}"),
            )
            for column in ("principal", "tenant")
        ),
        Index("ix_tasks_tenant", "tenant", "id", **_where("tenant <> ''")),
        Index(
            "ix_tasks_principal_unsuccessful",
            "principal",
            "status",
            "id",
            **_where(f"principal <> '' AND status IN {UNSUCCESSFUL}"),
        ),
        Index(
            "ix_tasks_tenant_unsuccessful",
            "tenant",
            "status",
            "id",
            **_where(f"tenant <> '' AND status IN {UNSUCCESSFUL}"),
        ),
        Index(
            "ix_tasks_deadline",
            "deadline",
            **_where("deadline IS NOT NULL AND status IN ('queued', 'running')"),
        ),
        Index("ix_tasks_finished", "finished_at", **_where("finished_at IS NOT NULL")),
        Index(
            "uq_tasks_idempotency",
            "principal",
            "tenant",
            "operation",
            "idempotency_key",
            unique=True,
            **_where("idempotency_key IS NOT NULL"),
        ),
        Index(
            "uq_tasks_coalescing",
            "principal",
            "tenant",
            "operation",
            "coalescing_key",
            unique=True,
            **_where("coalescing_key IS NOT NULL AND status IN ('queued', 'running')"),
        ),
        {
            "postgresql_with": {
                # Room for a row's next versions beside it.
                "fillfactor": 80,
                # Each row is written three times within seconds: vacuum early, a little each time.
                "autovacuum_vacuum_scale_factor": 0.02,
                "autovacuum_vacuum_insert_scale_factor": 0.05,
            }
        },
    )


TYPE_OF_ERROR = """substring(error::text FROM '"type" *: *"([^"]*)"')"""
"""For PostgreSQL, which cannot look into JSON that tells of NUL, as an error's detail may."""

# Only PostgreSQL has these, and a task without labels and without an error costs nothing. They are
# no Index of the table, since Alembic cannot compare one of an expression on SQLite.
for _definition in (
    (
        "CREATE INDEX ix_tasks_labels ON tasks USING gin ((labels::jsonb) jsonb_path_ops)"
        " WHERE labels::text <> '{}'"
    ),
    f"CREATE INDEX ix_tasks_error_type ON tasks (({TYPE_OF_ERROR}), id) WHERE error IS NOT NULL",
):
    event.listen(
        SQLModel.metadata.tables[str(TaskRow.__tablename__)],
        "after_create",
        DDL(_definition).execute_if(dialect="postgresql"),
    )
