"""Demand: how much work waits and runs on each queue, and how fast it goes.

Read again and again by the operator, so every part of it has an index: its cost grows with what is
queued, running and just finished, never with what is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Float,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)

from asynctasks.instants import seconds_between
from asynctasks.statements.conditions import (
    HAS_JUST_FINISHED,
    IS_DUE_POLL,
    IS_HELD,
    IS_PUBLISHED,
    IS_QUEUED,
    IS_RUNNING,
    NOW,
    is_status,
    tasks,
)
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Collection

    from asynctasks.database import Database


@dataclass(slots=True)
class OperationDemand:
    """The work of one operation in one queue."""

    held: int = 0
    """Queued for now without a message."""
    published: int = 0
    """Queued with a message."""
    polls: int = 0
    """They wait for an executor to ask for their upstream's job, now."""
    running: int = 0
    jobs: int = 0
    """Between two polls of their upstream's job: no executor is needed."""

    @property
    def queued(self) -> int:
        """Those that wait for an executor."""
        return self.held + self.published + self.polls

    @property
    def in_hand(self) -> int:
        """Those that their limits have let go and that have not ended."""
        return self.published + self.polls + self.running + self.jobs


@dataclass(slots=True)
class Demand:
    """The work of one queue at one moment."""

    queued: int = 0
    """Waiting for an executor now; a delay or a backoff does not count before it is over."""
    oldest_queued_seconds: float = 0.0
    """How long the longest waiting of these has waited; 0 for none."""
    held: int = 0
    """Of the queued, those without a message."""
    running: int = 0
    finished: int = 0
    """Within the seconds asked about, in whatever way."""
    mean_service_seconds: float | None = None
    """The mean length of the last attempts of those that were run to their end; None for none.

    Of those that were an upstream's job nothing is known."""
    operations: dict[str, OperationDemand] = field(default_factory=dict[str, OperationDemand])
    """What waits and runs, by operation."""


class DemandReader:
    """Reads from the task table how much work waits and runs on each queue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, queues: Collection[str], *, seconds: float) -> dict[str, Demand]:
        """The demand of each of the queues, with what has finished over the last seconds.

        All counts are of one moment. Raises DatabaseUnavailableError.
        """
        demands = {queue: Demand() for queue in queues}
        if not demands:
            return demands
        async with self._database.read() as connection:
            counted = await connection.execute(
                _COUNTS, {"queues": sorted(demands), "since_seconds": -seconds}
            )
            for row in counted:
                _add(demands[row.queue], row)
        return demands


def _add(demand: Demand, row: Any) -> None:
    if row.what == "finished":
        demand.finished = row.tasks
        demand.mean_service_seconds = row.seconds
        return
    operation = demand.operations.setdefault(row.operation, OperationDemand())
    setattr(operation, row.what, getattr(operation, row.what) + row.tasks)
    if row.what == "running":
        demand.running += row.tasks
    elif row.what != "jobs":
        demand.queued += row.tasks
        demand.oldest_queued_seconds = max(demand.oldest_queued_seconds, row.seconds)
    if row.what == "held":
        demand.held += row.tasks


_OF_QUEUES = tasks.c.queue.in_(bindparam("queues", expanding=True))
# The time of a job is its upstream's: while it goes on no slot is taken.
_WAS_RUN = and_(is_status(TaskStatus.SUCCEEDED, TaskStatus.FAILED), tasks.c.upstream_job.is_(None))
_SERVICE_SECONDS = func.avg(
    case((_WAS_RUN, seconds_between(tasks.c.attempt_started_at, tasks.c.finished_at)))
)


_QUEUED_SINCE = func.coalesce(tasks.c.run_after, tasks.c.attempt_started_at, tasks.c.created_at)
"""A retry waits from the end of its backoff, one whose executor was lost from that attempt."""
_QUEUED_SECONDS = func.max(seconds_between(_QUEUED_SINCE, NOW))


_HAS_JOB = tasks.c.upstream_job.is_not(None)
_IS_BETWEEN_POLLS = and_(IS_QUEUED, ~tasks.c.published, _HAS_JOB, tasks.c.next_publish_at > NOW)


def _counted(what: str, condition: Any, *, seconds: Any = None) -> Any:
    operation = null() if what == "finished" else tasks.c.operation
    return (
        select(
            tasks.c.queue,
            cast(operation, String).label("operation"),
            literal(what, literal_execute=True).label("what"),
            func.count().label("tasks"),
            cast(null() if seconds is None else seconds, Float).label("seconds"),
        )
        .where(condition, _OF_QUEUES)
        .group_by(tasks.c.queue, *(() if what == "finished" else (tasks.c.operation,)))
    )


# One statement, so that a task that is claimed meanwhile is counted once.
_COUNTS = union_all(
    _counted("held", IS_HELD, seconds=_QUEUED_SECONDS),
    _counted("published", and_(IS_PUBLISHED, ~_HAS_JOB), seconds=_QUEUED_SECONDS),
    _counted("polls", and_(IS_PUBLISHED, _HAS_JOB), seconds=_QUEUED_SECONDS),
    _counted("polls", IS_DUE_POLL, seconds=_QUEUED_SECONDS),
    _counted("jobs", _IS_BETWEEN_POLLS),
    _counted("running", IS_RUNNING),
    _counted("finished", HAS_JUST_FINISHED, seconds=_SERVICE_SECONDS),
)
