"""The statements on the task table that an executor makes: claim, renew, finish.

The pair of id and attempt is the fence: whoever claims the task next raises `attempt`, and from
then on nothing that the earlier executor writes finds a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Float, Integer, String, bindparam, or_, select, update
from sqlalchemy import case as sql_case

from asynctasks.attempt_history import with_ended_attempt
from asynctasks.endings import CANCELLED_WHILE_RUNNING
from asynctasks.group_commit import Batch
from asynctasks.instants import seconds_from_now, seconds_from_this_moment, utc_now
from asynctasks.outcome import Outcome
from asynctasks.statements.conditions import ANSWER_COLUMNS, tasks
from asynctasks.statements.id_list import is_one_of
from asynctasks.statements.job_steps import JobStep, job_statements
from asynctasks.task import TaskStatus, may_move
from asynctasks.upstream_job import UpstreamJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.database import Database
    from asynctasks.group_commit import GroupCommit


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """A task that is this executor's until its lease runs out."""

    id: UUID
    operation: str
    arguments: dict[str, Any]
    sealed_arguments: str | None
    sealed_headers: str | None = None
    body_headers: list[list[str]] | None = None
    body: bytes | None = None
    body_blob: str | None = None
    attempt: int
    interruptions: int
    drains: int = 0
    max_attempts: int
    attempts: list[dict[str, Any]]
    attempt_started_at: datetime
    executor: str
    reply_to: str | None
    principal: str = ""
    deadline: datetime | None = None
    upstream_job: dict[str, Any] | None = None
    cancel_requested: bool = False
    """Only where it was asked for between two polls of a job: no other task is claimed then."""

    @property
    def job(self) -> UpstreamJob | None:
        """The upstream's job that this attempt has started."""
        return None if self.upstream_job is None else UpstreamJob.of_json(self.upstream_job)


@dataclass(frozen=True, slots=True)
class Claimable:
    """What an executor may claim: the tasks of its queue that it knows how to run."""

    queue: str
    revisions: Mapping[str, str]
    """By name the operations that it has, each in one revision."""
    older: set[str] = field(default_factory=set[str])
    """Earlier revisions of these that it has met: it runs their tasks by its own declaration."""


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed task that is still ours, and whether its end has been asked for."""

    id: UUID
    attempt: int
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt has come, by what it tells of itself."""

    task_id: UUID
    attempt: int
    percent: int | None
    message: str | None


@dataclass(frozen=True, slots=True)
class _Finish:
    task: ClaimedTask
    outcome: Outcome


class Claims:
    """The task table as one executor uses it. Every method raises DatabaseUnavailableError."""

    def __init__(
        self,
        database: Database,
        commits: GroupCommit,
        *,
        executor: str,
        lease_seconds: float,
        claimable: Claimable,
        revision_wait_seconds: float,
    ) -> None:
        self._database = database
        self._commits = commits
        self._executor = executor
        self._lease_seconds = lease_seconds
        self._revision_wait_seconds = revision_wait_seconds
        self.claimable = claimable
        """May be replaced at any time; it holds from the next claim on."""
        self._claiming = Batch(self._claim, is_one_statement=True)
        self._finishing = Batch(self._finish)
        self._reporting = Batch(self._report)

    async def claim(self, task_id: UUID) -> ClaimedTask | None:
        """Take the task; None where it is not, or not yet, this executor's to take."""
        return await self._commits.write(self._claiming, task_id)

    async def finish(self, task: ClaimedTask, outcome: Outcome) -> Outcome | None:
        """Record how the attempt ended; what was recorded, None where the task is no longer ours.

        A task whose cancel was asked for meanwhile gets no further attempt: it is cancelled.
        """
        return await self._commits.write(self._finishing, _Finish(task, outcome))

    async def report(self, progress: Progress) -> None:
        """Record how far a running attempt has come, where its task is still ours."""
        await self._commits.write(self._reporting, progress)

    async def renew(self, task_ids: Iterable[UUID]) -> list[Held]:
        """Extend the leases of those tasks that are still this executor's, and return them."""
        async with self._database.write() as connection:
            rows = await connection.execute(
                _RENEW,
                {
                    "ids": sorted(task_ids),
                    "holder": self._executor,
                    "lease_seconds": self._lease_seconds,
                },
            )
            return [Held(*row) for row in rows]

    async def look(self, task_ids: Iterable[UUID]) -> list[Held]:
        """Those of the tasks that are still this executor's."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                _LOOK, {"ids": list(task_ids), "holder": self._executor}
            )
            return [Held(*row) for row in rows]

    async def _claim(
        self, connection: AsyncConnection, task_ids: Sequence[UUID]
    ) -> list[ClaimedTask | None]:
        claimable = self.claimable
        rows = await connection.execute(
            _CLAIM,
            {
                "ids": list(set(task_ids)),
                "own_queue": claimable.queue,
                "operations": list(claimable.revisions),
                "revisions": [*claimable.revisions.values(), *claimable.older],
                "revision_wait_seconds": -self._revision_wait_seconds,
                "executor": self._executor,
                "lease_seconds": self._lease_seconds,
            },
        )
        claimed = {row["id"]: ClaimedTask(**row) for row in rows.mappings()}
        # Two messages about one task may share a batch: the first takes it, the other finds none.
        return [claimed.pop(task_id, None) for task_id in task_ids]

    async def _finish(
        self, connection: AsyncConnection, finishes: Sequence[_Finish]
    ) -> list[Outcome | None]:
        ids = [finish.task.id for finish in finishes]
        rows = await connection.execute(_OURS, {"ids": ids, "holder": self._executor})
        ours = {(row.id, row.attempt): row.cancel_requested for row in rows}
        outcomes = [
            _unless_cancelled(finish, ours.get((finish.task.id, finish.task.attempt)))
            for finish in finishes
        ]
        recorded = [
            (finish.task, outcome)
            for finish, outcome in zip(finishes, outcomes, strict=True)
            if outcome is not None
        ]
        ended = [_values(task.id, outcome) for task, outcome in recorded if not outcome.goes_on]
        if ended:
            await connection.execute(_FINISH, ended)
        steps = [
            JobStep(task.id, task.job, outcome.upstream_job, _poll_in_seconds(outcome))
            for task, outcome in recorded
            if outcome.upstream_job is not None
        ]
        for statement, values in job_statements(steps):
            await connection.execute(statement, values)
        return outcomes

    async def _report(self, connection: AsyncConnection, told: Sequence[Progress]) -> list[None]:
        # In one order everywhere, as claims are: nobody waits in a circle.
        reports = [
            {
                "task_id": one.task_id,
                "of_attempt": one.attempt,
                "holder": self._executor,
                "new_progress": one.percent,
                "new_message": one.message,
            }
            for one in sorted(told, key=lambda one: one.task_id)
        ]
        await connection.execute(_REPORT, reports)
        return [None] * len(told)


def _unless_cancelled(finish: _Finish, cancel_requested: bool | None) -> Outcome | None:
    """The outcome to record; None where there is no row of ours to say anything of a cancel."""
    outcome = finish.outcome
    if cancel_requested is None:
        return None
    if cancel_requested and outcome.status is TaskStatus.QUEUED:
        return _cancelled(finish.task, outcome)
    return outcome


def _cancelled(task: ClaimedTask, outcome: Outcome) -> Outcome:
    """The end of a task whose cancel was asked for, in place of an outcome that is no end."""
    attempts = outcome.attempts
    if outcome.goes_on:
        attempts = with_ended_attempt(task, outcome="cancelled", finished_at=utc_now())
    return Outcome(
        TaskStatus.CANCELLED,
        error=CANCELLED_WHILE_RUNNING,
        attempts=attempts,
        upstream_job=outcome.upstream_job,
    )


def _poll_in_seconds(outcome: Outcome) -> float | None:
    return outcome.retry_after_seconds if outcome.goes_on else None


def _values(task_id: UUID, outcome: Outcome) -> dict[str, Any]:
    response = outcome.response
    return {
        "task_id": task_id,
        "new_status": outcome.status,
        "new_attempts": outcome.attempts,
        "new_response_status": response and response.status,
        "new_response_content_type": response and response.content_type,
        "new_response_headers": (response and response.headers) or None,
        "new_response_body": response and response.body,
        "new_response_blob": response and response.blob,
        "new_error": outcome.error and outcome.error.to_json(),
        "finished_in_seconds": 0.0 if outcome.status.is_final else None,
        "retry_in_seconds": outcome.retry_after_seconds,
        "given_back": int(outcome.is_given_back),
    }


_TO_RUNNING = [status for status in TaskStatus if may_move(status, TaskStatus.RUNNING)]

_CLAIMABLE = (
    select(tasks.c.id)
    .where(
        is_one_of(tasks.c.id),
        tasks.c.status.in_(_TO_RUNNING),
        tasks.c.queue == bindparam("own_queue"),
        is_one_of(tasks.c.operation, "operations"),
        or_(
            tasks.c.revision.is_(None),
            is_one_of(tasks.c.revision, "revisions"),
            # Whoever knows it has not come: the operation as it is known here has to do.
            tasks.c.created_at <= seconds_from_now(bindparam("revision_wait_seconds")),
        ),
        or_(tasks.c.run_after.is_(None), tasks.c.run_after <= seconds_from_now(0.0)),
        or_(tasks.c.deadline.is_(None), tasks.c.deadline > seconds_from_now(0.0)),
    )
    # In one order everywhere, so that executors with equal messages never wait in a circle.
    .order_by(tasks.c.id)
    .with_for_update()
)


def _unless_polled(value: Any, polled: Any) -> Any:
    return sql_case((tasks.c.upstream_job.is_(None), value), else_=polled)


_CLAIM = (
    update(tasks)
    .where(tasks.c.id.in_(_CLAIMABLE))
    .values(
        status=TaskStatus.RUNNING,
        # A poll goes on with the attempt whose call has started the job, and nobody sees it.
        version=_unless_polled(tasks.c.version + 1, tasks.c.version),
        attempt=_unless_polled(tasks.c.attempt + 1, tasks.c.attempt),
        executor=bindparam("executor"),
        lease_until=seconds_from_this_moment(bindparam("lease_seconds")),
        attempt_started_at=_unless_polled(
            seconds_from_this_moment(0.0), tasks.c.attempt_started_at
        ),
        started_at=sql_case(
            (tasks.c.started_at.is_(None), seconds_from_this_moment(0.0)), else_=tasks.c.started_at
        ),
        published=False,
        next_publish_at=None,
        run_after=None,
        # They are of the attempt before.
        progress=_unless_polled(None, tasks.c.progress),
        message=_unless_polled(None, tasks.c.message),
    )
    .returning(*(tasks.c[name] for name in ClaimedTask.__dataclass_fields__))
)

_HELD = (
    is_one_of(tasks.c.id),
    tasks.c.status == TaskStatus.RUNNING,
    tasks.c.executor == bindparam("holder", type_=String),
)
_LOOK = select(tasks.c.id, tasks.c.attempt, tasks.c.cancel_requested).where(*_HELD)
_OURS = _LOOK.order_by(tasks.c.id).with_for_update()
_RENEW = (
    update(tasks)
    .where(tasks.c.id.in_(select(tasks.c.id).where(*_HELD).order_by(tasks.c.id).with_for_update()))
    .values(lease_until=seconds_from_this_moment(bindparam("lease_seconds", type_=Float)))
    .returning(tasks.c.id, tasks.c.attempt, tasks.c.cancel_requested)
)


def _new(name: str) -> Any:
    return bindparam(f"new_{name}", type_=tasks.c[name].type)


_REPORT = (
    update(tasks)
    .where(
        tasks.c.id == bindparam("task_id"),
        tasks.c.attempt == bindparam("of_attempt"),
        tasks.c.status == TaskStatus.RUNNING,
        tasks.c.executor == bindparam("holder", type_=String),
    )
    .values(version=tasks.c.version + 1, progress=_new("progress"), message=_new("message"))
)
_FINISH = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id"))
    .values(
        version=tasks.c.version + 1,
        drains=tasks.c.drains + bindparam("given_back", type_=Integer),
        lease_until=None,
        finished_at=seconds_from_this_moment(bindparam("finished_in_seconds")),
        run_after=seconds_from_this_moment(bindparam("retry_in_seconds")),
        next_publish_at=seconds_from_this_moment(bindparam("retry_in_seconds")),
        **{name: _new(name) for name in ("status", "attempts", *ANSWER_COLUMNS)},
    )
)
