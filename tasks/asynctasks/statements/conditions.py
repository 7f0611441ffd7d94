"""The tables of tasks and blobs, and the conditions on rows that more than one of us asks about.

Each has a partial index of its own, which serves it only where it is written as it is here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, literal, or_, text
from sqlmodel import SQLModel

from asynctasks.blob import BlobRow
from asynctasks.instants import seconds_from_now
from asynctasks.task import WAITS_FOR_JOB as WAITS_FOR_JOB_TEXT
from asynctasks.task import TaskRow, TaskStatus

blobs = SQLModel.metadata.tables[str(BlobRow.__tablename__)]
tasks = SQLModel.metadata.tables[str(TaskRow.__tablename__)]
ANSWER_COLUMNS = (
    "response_status",
    "response_content_type",
    "response_headers",
    "response_body",
    "response_blob",
    "error",
)
"""What a task's row has once there is an answer, or a reason why there is none."""


def is_status(*statuses: TaskStatus) -> ColumnElement[bool]:
    """Whether a row has one of the statuses, written out in the SQL.

    A partial index serves a prepared statement only where its condition holds for all parameters.
    """
    column: ColumnElement[Any] = tasks.c.status
    written = [literal(status, type_=column.type, literal_execute=True) for status in statuses]
    return column == written[0] if len(written) == 1 else column.in_(written)


NOW = seconds_from_now(0.0)
IS_RUNNING = is_status(TaskStatus.RUNNING)
IS_QUEUED = is_status(TaskStatus.QUEUED)
WAITS_FOR_JOB = text(WAITS_FOR_JOB_TEXT)
"""By its own words: SQLite knows the index by nothing else."""
SHOWN_STATUS = case(
    (WAITS_FOR_JOB, literal(TaskStatus.RUNNING, type_=tasks.c.status.type)), else_=tasks.c.status
).label("status")
"""As `Task.shown_status`."""
IS_PUBLISHED = and_(IS_QUEUED, tasks.c.published)
"""Each of these conditions has its own partial index: one query with OR would use none."""
HAS_NO_MESSAGE = and_(IS_QUEUED, ~tasks.c.published, tasks.c.upstream_job.is_(None))
"""Queued without a message and without a job: held, or kept back until it is due."""
IS_HELD = and_(HAS_NO_MESSAGE, tasks.c.next_publish_at <= NOW)
"""Queued for now without a message, until it is released: see `asynctasks.limits`."""
WAITS_FOR_POLL = and_(IS_QUEUED, ~tasks.c.published, tasks.c.upstream_job.is_not(None))
"""Its upstream's job is to be asked for at some time."""
IS_DUE_POLL = and_(WAITS_FOR_POLL, tasks.c.next_publish_at <= NOW)
"""Its upstream's job is to be asked for now, which no limit keeps back."""
MOST_PUT_BACK_SECONDS = 30.0
"""As long as a task is kept back at most that no executor knew how to run."""
IS_PUT_BACK = and_(
    HAS_NO_MESSAGE,
    tasks.c.next_publish_at > NOW,
    tasks.c.next_publish_at <= seconds_from_now(MOST_PUT_BACK_SECONDS),
    or_(tasks.c.run_after.is_(None), tasks.c.run_after <= NOW),
)
"""Queued for now, and kept back for some seconds: no delay and no backoff, though like one."""
HAS_JUST_FINISHED = tasks.c.finished_at > seconds_from_now(bindparam("since_seconds"))
"""Within the seconds before now that the parameter gives, negative."""
