"""The statements on the task table that an executor makes: claim, renew, finish.

The pair of id and attempt is the fence: whoever claims the task next raises `attempt`, and from
then on nothing that the earlier executor writes finds a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asynctasks.attempt_history import with_ended_attempt
from asynctasks.endings import CANCELLED_WHILE_RUNNING
from asynctasks.group_commit import Batch
from asynctasks.instants import utc_now
from asynctasks.json_values import json_text
from asynctasks.outcome import Outcome
from asynctasks.statements.claim_statements import (
    CLAIM,
    IS_WAITED_FOR,
    LOOK,
    OURS,
    RENEW,
    REPORT,
    TAKE_POLLS,
    WRITE_END,
)
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.hot_claims import claim, claim_at_rates, take_polls
from asynctasks.statements.hot_statements import FINISH, GO_ON, endings, steps
from asynctasks.statements.job_steps import WRITE_STEP, job_known, job_step
from asynctasks.statements.start_rates import StartRate, spend_starts
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from uuid import UUID

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from asynctasks.database import Database
    from asynctasks.group_commit import GroupCommit


@dataclass(frozen=True, slots=True)
class Claimable:
    """What an executor may claim: the tasks of its queue that it knows how to run."""

    queue: str
    revisions: Mapping[str, str]
    """By name the operations that it has, each in one revision."""
    older: set[str] = field(default_factory=set[str])
    """Earlier revisions of these that it has met: it runs their tasks by its own declaration."""
    held: Callable[[], list[str]] = list
    """The names of those of which nothing may start now; what has a job goes on."""
    limited: Sequence[str] = ()
    """Those that have limits, and all others that wait for the same limits."""
    released_with: Sequence[str] = ()
    """The queues of these."""
    rates: Callable[[], list[StartRate]] = list
    """What their starts cost."""
    polled: Sequence[str] = ()
    """Those whose upstream has jobs: an executor looks for their polls by itself."""


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

    @property
    def fence(self) -> tuple[UUID, int]:
        return self.task.id, self.task.attempt


@dataclass(frozen=True, slots=True)
class _Recorded:
    outcome: Outcome | None
    is_waited_for: bool
    """Whether others wait behind the group that was recorded."""


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
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_room` is called when a task has ended that others wait behind."""
        self._database = database
        self._on_room = on_room
        self._commits = commits
        self._executor = executor
        self._lease_seconds = lease_seconds
        self._revision_wait_seconds = revision_wait_seconds
        self.claimable = claimable
        """May be replaced at any time; it holds from the next claim on."""
        self._claiming = Batch(self._claim, at_once=self._claim_at_once)
        self._finishing = Batch(self._finish, at_once=self._finish_at_once)
        self._reporting = Batch(self._report)

    async def claim(self, task_id: UUID) -> ClaimedTask | None:
        """Take the task; None where it is not, or not yet, this executor's to take."""
        return await self._commits.write(self._claiming, task_id)

    async def take_polls(self, *, most: int) -> list[ClaimedTask]:
        """Take tasks whose upstream's job is to be asked for now, those that wait longest."""
        claimable = self.claimable
        if self._database.has_one_writer:
            async with self._database.write() as connection:
                parameters = {
                    **self._parameters(claimable),
                    "operations": claimable.polled,
                    "most": most,
                }
                rows = (await connection.execute(TAKE_POLLS, parameters)).mappings().all()
        else:
            rows = await self._database.fetch(
                _TAKE_POLLS_AT_ONCE, most, *self._arguments(claimable, claimable.polled)
            )
        return [ClaimedTask(**row) for row in rows]

    async def finish(self, task: ClaimedTask, outcome: Outcome) -> Outcome | None:
        """Record how the attempt ended; what was recorded, None where the task is no longer ours.

        A task whose cancel was asked for meanwhile gets no further attempt: it is cancelled.
        """
        recorded = await self._commits.write(self._finishing, _Finish(task, outcome))
        if recorded.is_waited_for:
            self._on_room()
        return recorded.outcome

    async def report(self, progress: Progress) -> None:
        """Record how far a running attempt has come, where its task is still ours."""
        await self._commits.write(self._reporting, progress)

    async def renew(self, task_ids: Iterable[UUID]) -> list[Held]:
        """Extend the leases of those tasks that are still this executor's, and return them."""
        async with self._database.write() as connection:
            rows = await connection.execute(
                RENEW,
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
            rows = await connection.execute(LOOK, {"ids": list(task_ids), "holder": self._executor})
            return [Held(*row) for row in rows]

    async def _claim(
        self, connection: AsyncConnection, task_ids: Sequence[UUID]
    ) -> list[ClaimedTask | None]:
        claimable = self.claimable
        rows = await connection.execute(
            CLAIM,
            {
                **self._parameters(claimable),
                "ids": list(set(task_ids)),
                "held": claimable.held(),
                "limited": claimable.limited,
            },
        )
        claimed = rows.mappings().all()
        await spend_starts(connection, claimable.rates(), claimed)
        return _claimed(task_ids, claimed)

    async def _claim_at_once(
        self, database: Database, task_ids: Sequence[UUID]
    ) -> list[ClaimedTask | None]:
        claimable = self.claimable
        rates = claimable.rates()
        rows = await database.fetch(
            _CLAIM_AT_RATES if rates else _CLAIM_AT_ONCE,
            sorted(set(task_ids)),
            *self._arguments(claimable, claimable.revisions),
            claimable.held(),
            list(claimable.limited),
            *map(list, zip(*rates, strict=True)),
        )
        return _claimed(task_ids, rows)

    def _parameters(self, claimable: Claimable) -> dict[str, Any]:
        """What of each claim is the same, where SQLAlchemy makes it."""
        return {
            "own_queue": claimable.queue,
            "operations": list(claimable.revisions),
            "revisions": [*claimable.revisions.values(), *claimable.older],
            "revision_wait_seconds": -self._revision_wait_seconds,
            "executor": self._executor,
            "lease_seconds": self._lease_seconds,
        }

    def _arguments(self, claimable: Claimable, operations: Iterable[str]) -> list[Any]:
        """The same in the hot statements: $2 to $7."""
        return [
            claimable.queue,
            list(operations),
            [*claimable.revisions.values(), *claimable.older],
            self._revision_wait_seconds,
            self._executor,
            self._lease_seconds,
        ]

    async def _finish(
        self, connection: AsyncConnection, finishes: Sequence[_Finish]
    ) -> list[_Recorded]:
        ids = [finish.task.id for finish in finishes]
        found = await connection.execute(OURS, {"ids": ids, "holder": self._executor})
        ours = {(row.id, row.attempt): row.cancel_requested for row in found}
        outcomes = [_unless_cancelled(finish, ours.get(finish.fence)) for finish in finishes]
        recorded = [
            (finish.task, outcome)
            for finish, outcome in zip(finishes, outcomes, strict=True)
            if outcome is not None
        ]
        ended = [_ended(*each) for each in recorded if not each[1].goes_on]
        going_on = [_step(*each) for each in recorded if each[1].goes_on]
        for statement, rows in ((WRITE_END, ended), (WRITE_STEP, going_on)):
            values = [{f"new_{name}": value for name, value in row.items()} for row in rows]
            if values:
                await connection.execute(statement, values)
        is_waited_for = await self._is_waited_for(connection, finishes)
        return [_Recorded(outcome, is_waited_for) for outcome in outcomes]

    async def _is_waited_for(
        self, connection: AsyncConnection, finishes: Sequence[_Finish]
    ) -> bool:
        limited, queues = self.claimable.limited, self.claimable.released_with
        if not any(finish.task.operation in limited for finish in finishes):
            return False
        parameters = {"operations": limited, "queues": queues}
        return bool(await connection.scalar(IS_WAITED_FOR, parameters))

    async def _finish_at_once(
        self, database: Database, finishes: Sequence[_Finish]
    ) -> list[_Recorded]:
        going_on = [finish for finish in finishes if finish.outcome.goes_on]
        ours, cancelled = await self._go_on(database, going_on) if going_on else ({}, [])
        ended = [finish for finish in finishes if not finish.outcome.goes_on] + cancelled
        rows: list[Any] = []
        if ended:
            rows = await database.fetch(
                FINISH,
                self._executor,
                json_text(CANCELLED_WHILE_RUNNING.to_json()),
                list(self.claimable.limited),
                list(self.claimable.released_with),
                *endings([_ended(finish.task, finish.outcome) for finish in ended]),
            )
        ours |= {(row["id"], row["attempt"]): row["cancel_requested"] for row in rows}
        is_waited_for = any(row["is_waited_for"] for row in rows)
        return [
            _Recorded(_unless_cancelled(finish, ours.get(finish.fence)), is_waited_for)
            for finish in finishes
        ]

    async def _go_on(
        self, database: Database, finishes: Sequence[_Finish]
    ) -> tuple[dict[tuple[UUID, int], bool], list[_Finish]]:
        """Which jobs are to be polled again, and how the others of ours end: by a cancel."""
        rows = await database.fetch(
            GO_ON,
            self._executor,
            *steps([_step(finish.task, finish.outcome) for finish in finishes]),
        )
        ours = {(row["id"], row["attempt"]): row["cancel_requested"] for row in rows}
        cancelled = [
            _Finish(finish.task, _cancelled(finish.task, finish.outcome))
            for finish in finishes
            if ours.get(finish.fence)
        ]
        return {fence: False for fence, is_cancelled in ours.items() if not is_cancelled}, cancelled

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
        await connection.execute(REPORT, reports)
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


_CLAIM_AT_ONCE = claim(ClaimedTask.__dataclass_fields__)
_TAKE_POLLS_AT_ONCE = take_polls(ClaimedTask.__dataclass_fields__)
_CLAIM_AT_RATES = claim_at_rates(list(ClaimedTask.__dataclass_fields__))


def _claimed(
    task_ids: Sequence[UUID], rows: Iterable[Mapping[str, Any] | RowMapping]
) -> list[ClaimedTask | None]:
    claimed = {row["id"]: ClaimedTask(**row) for row in rows}
    # Two messages about one task may share a batch: the first takes it, the other finds none.
    return [claimed.pop(task_id, None) for task_id in task_ids]


def _ended(task: ClaimedTask, outcome: Outcome) -> dict[str, Any]:
    response = outcome.response
    return {
        "id": task.id,
        "attempt": task.attempt,
        "status": outcome.status,
        "attempts": outcome.attempts,
        "response_status": response and response.status,
        "response_content_type": response and response.content_type,
        "response_headers": (response and response.headers) or None,
        "response_body": response and response.body,
        "response_blob": response and response.blob,
        "error": outcome.error and outcome.error.to_json(),
        "finished_in_seconds": 0.0 if outcome.status.is_final else None,
        "retry_in_seconds": outcome.retry_after_seconds,
        "given_back": int(outcome.is_given_back),
        **job_known(outcome),
    }


def _step(task: ClaimedTask, outcome: Outcome) -> dict[str, Any]:
    return job_step(task.id, task.attempt, outcome, before=task.job)
