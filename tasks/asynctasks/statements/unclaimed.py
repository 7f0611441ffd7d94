"""Why a claim found nothing, and how a task goes back to the relay: the way off the busy path.

What is put back was never claimed: no attempt, no `version`, nothing in its history.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from sqlalchemy import Boolean, and_, bindparam, cast, or_, select, update
from sqlmodel import SQLModel

from asynctasks.instants import seconds_from_now, seconds_since
from asynctasks.operation_revision import OperationRevisionRow
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.conditions import IS_QUEUED, NOW, tasks
from asynctasks.statements.hold import HOLD
from asynctasks.statements.id_list import is_one_of
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from uuid import UUID

    from asynctasks.database import Database
    from asynctasks.statements.claims import Claimable

_LEAVE_JOBS = (TaskStatus.EXPIRED, TaskStatus.CANCELLED)


class Refusal(Enum):
    """Why a task is not, or not yet, an executor's to claim."""

    NO_SUCH_TASK = auto()
    NOT_WAITING = auto()
    """It has finished, runs elsewhere, is not due or is past its deadline: others see to it."""
    NO_LONGER = auto()
    """Its to claim by now: a changed operations file, or its time, came after the claim."""
    JOB_LEFT_BEHIND = auto()
    """It has ended while its upstream worked on a job, which ours can end."""
    HELD = auto()
    """Paused, or its upstream is left alone: it waits as a row, with no message."""
    NOT_RELEASED = auto()
    """Its limits have not let it go: its message is an old one."""
    OTHER_QUEUE = auto()
    UNKNOWN_OPERATION = auto()
    UNKNOWN_REVISION = auto()
    """Of an operation that it has, but a later revision, or one nobody has registered."""
    OLDER_REVISION = auto()
    """Its to claim, once it says that it knows this revision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclaimedTask:
    """What of a task decides whether an executor may claim it."""

    status: TaskStatus
    queue: str
    operation: str
    revision: str | None
    age_seconds: float
    is_due: bool
    is_published: bool
    has_job: bool
    is_older: bool
    """Whether its revision appeared before the executor's own."""


def refusal(task: UnclaimedTask | None, claimable: Claimable) -> Refusal:
    """Why a claim of the task found nothing."""
    if task is None:
        return Refusal.NO_SUCH_TASK
    if task.status is not TaskStatus.QUEUED or not task.is_due:
        is_ours = task.queue == claimable.queue and task.operation in claimable.revisions
        is_left_behind = task.status in _LEAVE_JOBS and task.has_job and is_ours
        return Refusal.JOB_LEFT_BEHIND if is_left_behind else Refusal.NOT_WAITING
    if task.queue != claimable.queue:
        return Refusal.OTHER_QUEUE
    return _refusal_of_our_queue(task, claimable)


def _refusal_of_our_queue(task: UnclaimedTask, claimable: Claimable) -> Refusal:
    if task.operation not in claimable.revisions:
        return Refusal.UNKNOWN_OPERATION
    if not task.has_job and task.operation in claimable.held():
        return Refusal.HELD
    if not task.has_job and not task.is_published and task.operation in claimable.limited:
        return Refusal.NOT_RELEASED
    if task.revision in {None, claimable.revisions[task.operation], *claimable.older}:
        return Refusal.NO_LONGER
    return Refusal.OLDER_REVISION if task.is_older else Refusal.UNKNOWN_REVISION


class UnclaimedTasks:
    """The tasks that a claim did not take. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, task_id: UUID, claimable: Claimable) -> UnclaimedTask | None:
        """The task as an executor sees it that may claim these; None where there is none."""
        parameters = {"task_id": task_id, "own": list(claimable.revisions.values())}
        async with self._database.read() as connection:
            row = (await connection.execute(_FIND, parameters)).mappings().first()
            return None if row is None else UnclaimedTask(**row)

    async def left_behind(self, task_id: UUID) -> ClaimedTask | None:
        """A task that has left a job, as it was when it was claimed; None where there is none."""
        async with self._database.read() as connection:
            found = await connection.execute(_LEFT_BEHIND, {"task_id": task_id})
            row = found.mappings().first()
            return None if row is None else ClaimedTask(**row)

    async def hold(self, task_id: UUID) -> None:
        """Hold the task that has a message, as if it had never been released."""
        async with self._database.write() as connection:
            await connection.execute(HOLD, {"ids": [task_id]})

    async def put_back(self, task_id: UUID, *, publish_in_seconds: float) -> None:
        """Have the relay publish the task again, to its own queue, unless it is to do so anyway."""
        async with self._database.write() as connection:
            await connection.execute(
                _PUT_BACK, {"task_id": task_id, "publish_in_seconds": publish_in_seconds}
            )


_revisions = SQLModel.metadata.tables[str(OperationRevisionRow.__tablename__)]
_its, _own = _revisions.alias("its"), _revisions.alias("own_revisions")
_IS_DUE = and_(
    or_(tasks.c.run_after.is_(None), tasks.c.run_after <= NOW),
    or_(tasks.c.deadline.is_(None), tasks.c.deadline > NOW),
)
_IS_ITS = and_(_its.c.operation == tasks.c.operation, _its.c.revision == tasks.c.revision)
_IS_OWN = and_(_own.c.operation == tasks.c.operation, is_one_of(_own.c.revision, "own"))
_FIND = (
    select(
        tasks.c.status,
        tasks.c.queue,
        tasks.c.operation,
        tasks.c.revision,
        tasks.c.published.label("is_published"),
        seconds_since(tasks.c.created_at).label("age_seconds"),
        cast(_IS_DUE, Boolean).label("is_due"),
        cast(tasks.c.upstream_job.is_not(None), Boolean).label("has_job"),
        cast(
            and_(_its.c.first_seen_at.is_not(None), _its.c.first_seen_at < _own.c.first_seen_at),
            Boolean,
        ).label("is_older"),
    )
    .select_from(tasks.outerjoin(_its, _IS_ITS).outerjoin(_own, _IS_OWN))
    .where(tasks.c.id == bindparam("task_id"))
)
_LEFT_BEHIND = select(*(tasks.c[name] for name in ClaimedTask.__dataclass_fields__)).where(
    tasks.c.id == bindparam("task_id"), tasks.c.status.in_(_LEAVE_JOBS)
)
_PUT_BACK = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id"), IS_QUEUED, tasks.c.published)
    .values(
        published=False,
        next_publish_at=seconds_from_now(bindparam("publish_in_seconds")),
    )
)
