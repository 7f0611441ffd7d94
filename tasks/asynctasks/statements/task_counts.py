"""Counts of the tasks that have not finished: how many wait, are held and run, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal, select, union_all

from asynctasks.statements.conditions import (
    HAS_NO_MESSAGE,
    IS_PUBLISHED,
    IS_RUNNING,
    NOW,
    WAITS_FOR_JOB,
    tasks,
)

if TYPE_CHECKING:
    from asynctasks.database import Database


@dataclass(slots=True)
class Counts:
    """How many tasks of one operation there are on one queue."""

    queue: str
    operation: str
    held: int = 0
    """Due and without a message, until they are released."""
    published: int = 0
    """With a message, until an executor claims them."""
    delayed: int = 0
    """Not due yet: a delay or a backoff is not over."""
    running: int = 0
    """Those whose upstream works on a job are among them."""

    @property
    def queued(self) -> int:
        """All that wait for an executor, now or later."""
        return self.held + self.published + self.delayed


class TaskCounts:
    """The task table, counted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, *, seconds: float) -> list[Counts]:
        """By queue and operation, all of one moment.

        It goes through an index for all that wait, so it may take so many seconds. Raises
        ReadTooLongError, DatabaseUnavailableError.
        """
        found: dict[tuple[str, str], Counts] = {}
        async with self._database.read_long(seconds=seconds) as connection:
            for row in await connection.execute(_COUNTS):
                key = (row.queue, row.operation)
                counts = found.setdefault(key, Counts(*key))
                setattr(counts, row.what, getattr(counts, row.what) + row.tasks)
        return list(found.values())


def _counted(what: str, *conditions: Any) -> Any:
    return (
        select(
            tasks.c.queue,
            tasks.c.operation,
            literal(what, literal_execute=True).label("what"),
            func.count().label("tasks"),
        )
        .where(*conditions)
        .group_by(tasks.c.queue, tasks.c.operation)
    )


_COUNTS = union_all(
    _counted("held", HAS_NO_MESSAGE, tasks.c.next_publish_at <= NOW),
    _counted("delayed", HAS_NO_MESSAGE, tasks.c.next_publish_at > NOW),
    _counted("published", IS_PUBLISHED, tasks.c.upstream_job.is_(None)),
    _counted("running", IS_RUNNING),
    _counted("running", WAITS_FOR_JOB),
)
