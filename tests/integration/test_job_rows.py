"""How the row of a task stands whose upstream works on a job, on both databases."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from asynctasks.endings import CANCELLED_WITHOUT_EXECUTOR
from asynctasks.errors import TaskNotFinishedError
from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.asked_changes import CANCEL_SECONDS
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.claims import Claimable, Progress
from asynctasks.statements.conditions import tasks
from asynctasks.statements.demand import DemandReader
from asynctasks.statements.mirroring import Mirroring
from asynctasks.statements.pages import Filter
from asynctasks.statements.unclaimed import Refusal, UnclaimedTasks, refusal
from asynctasks.statements.upkeep import DueTask, Upkeep
from asynctasks.task import TaskStatus
from asynctasks.upstream_job import UpstreamJob

MakeTask = Callable[..., NewTask]
JOB = UpstreamJob(url="http://u/jobs/1", started_at="2026-01-01T00:00:00+00:00", state="running")
SUCCEEDED = Outcome(TaskStatus.SUCCEEDED, Response(200, "application/json", b"{}"))


def goes_on(job: UpstreamJob = JOB, *, seconds: float = 60) -> Outcome:
    return Outcome(TaskStatus.QUEUED, retry_after_seconds=seconds, upstream_job=job)


async def started(parts: Any, new: NewTask, *, seconds: float = 60) -> ClaimedTask:
    """A task whose call has started a job; the next poll is in so many seconds."""
    await parts.store.add(new)
    task = await parts.claims("one").claim(new.id)
    assert await parts.claims("one").finish(task, goes_on(seconds=seconds)) is not None
    return task


async def set_row(parts: Any, task: ClaimedTask, **values: Any) -> None:
    async with parts.database.write() as connection:
        await connection.execute(update(tasks).where(tasks.c.id == task.id).values(**values))


async def test_any_executor_polls_by_the_same_attempt(parts: Any, new_task: MakeTask):
    first = await started(parts, new_task(), seconds=0)
    second = await parts.claims("two").claim(first.id)
    assert (second.attempt, second.attempt_started_at, second.job) == (
        1,
        first.attempt_started_at,
        JOB,
    )
    assert await parts.claims("one").finish(first, SUCCEEDED) is None
    ended = replace(SUCCEEDED, upstream_job=replace(JOB, state="done"))
    assert await parts.claims("two").finish(second, ended) == ended
    found = await parts.store.find(first.id)
    assert (found.status, found.upstream_job["state"]) == (TaskStatus.SUCCEEDED, "done")


async def test_nobody_claims_it_before_its_time_and_then_the_relay_publishes_it(
    parts: Any, new_task: MakeTask
):
    task, upkeep = await started(parts, new_task()), Upkeep(parts.database)
    assert await parts.claims("two").claim(task.id) is None
    assert await upkeep.take_due_polls(limit=10, again_in_seconds=60, late_seconds=0) == []
    await set_row(
        parts, task, run_after=utc_now(), next_publish_at=utc_now() - timedelta(seconds=1)
    )
    due = await upkeep.take_due_polls(limit=10, again_in_seconds=60, late_seconds=0)
    assert due == [DueTask(task.id, "create-client", "clients")]


async def test_only_what_callers_see_is_a_change(parts: Any, new_task: MakeTask):
    task = await started(parts, new_task(), seconds=0)
    version = (await parts.store.find(task.id)).version
    assert version == 3

    async def polled(job: UpstreamJob) -> int:
        claimed = await parts.claims("one").claim(task.id)
        await parts.claims("one").finish(claimed, goes_on(job, seconds=0))
        return (await parts.store.find(task.id)).version

    assert await polled(replace(JOB, polls=1)) == version
    assert await polled(replace(JOB, polls=2, state="half done")) == version + 1
    assert await polled(replace(JOB, polls=3, state="half done", progress=50)) == version + 2
    assert (await parts.store.find(task.id)).progress == 50


async def test_it_is_shown_as_running_and_counts_as_neither_running_nor_waiting(
    parts: Any, new_task: MakeTask
):
    task = await started(parts, new_task())
    other = new_task()
    await parts.store.add(other)
    found = await parts.store.find(task.id)
    assert (found.status, found.shown_status) == (TaskStatus.QUEUED, TaskStatus.RUNNING)

    async def listed(status: TaskStatus) -> list[Any]:
        page = await parts.store.page(Filter(status=status), before=None, size=10)
        return [each.id for each in page.tasks]

    assert await listed(TaskStatus.RUNNING) == [task.id]
    assert await listed(TaskStatus.QUEUED) == [other.id]
    (mirrored,) = await Mirroring(parts.database).of_ids([task.id])
    assert mirrored.status is TaskStatus.RUNNING
    demand = (await DemandReader(parts.database).read(["clients"], seconds=60))["clients"]
    assert (demand.queued, demand.running) == (1, 0)
    backlog = (await Upkeep(parts.database).backlogs(seconds=60))["clients"]
    assert (backlog.queued, backlog.jobs) == ({"create-client": 1}, {"create-client": 1})


async def test_how_long_a_job_took_says_nothing_of_how_long_a_slot_is_taken(
    parts: Any, new_task: MakeTask
):
    task = await started(parts, new_task(), seconds=0)
    await set_row(parts, task, attempt_started_at=utc_now() - timedelta(hours=1))
    claimed = await parts.claims("one").claim(task.id)
    await parts.claims("one").finish(claimed, replace(SUCCEEDED, upstream_job=JOB))
    demand = (await DemandReader(parts.database).read(["clients"], seconds=60))["clients"]
    assert (demand.finished, demand.mean_service_seconds) == (1, None)


async def test_a_dead_executor_costs_no_more_than_the_poll(parts: Any, new_task: MakeTask):
    task, upkeep = await started(parts, new_task(), seconds=0), Upkeep(parts.database)
    await parts.claims("dead").claim(task.id)
    version = (await parts.store.find(task.id)).version
    await set_row(parts, task, lease_until=utc_now() - timedelta(seconds=1), cancel_requested=True)
    (moved,) = await upkeep.return_dead([task.id])
    found = await parts.store.find(task.id)
    assert (moved.status, found.shown_status) == (TaskStatus.QUEUED, TaskStatus.RUNNING)
    assert (found.interruptions, found.attempts, found.version) == (0, [], version + 1)
    again = await parts.claims("two").claim(task.id)
    # So that an executor ends it, which can tell the upstream.
    assert (again.attempt, again.job, again.cancel_requested) == (1, JOB, True)
    demand = (await DemandReader(parts.database).read(["clients"], seconds=60))["clients"]
    assert demand.oldest_queued_seconds < 30


async def test_a_cancel_brings_it_to_an_executor_at_once(parts: Any, new_task: MakeTask):
    task = await started(parts, new_task())
    found = await parts.store.cancel(task.id)
    assert (found.shown_status, found.cancel_requested) == (TaskStatus.RUNNING, True)
    with pytest.raises(TaskNotFinishedError):
        await parts.store.delete(task.id)
    assert (
        len(
            await Upkeep(parts.database).take_due_polls(
                limit=10, again_in_seconds=60, late_seconds=0
            )
        )
        == 1
    )
    claimed = await parts.claims("two").claim(task.id)
    assert claimed.cancel_requested


async def test_a_cancel_that_no_executor_sees_to_ends_it_all_the_same(
    parts: Any, new_task: MakeTask
):
    task, upkeep = await started(parts, new_task()), Upkeep(parts.database)
    cancelled = await parts.store.cancel(task.id)
    assert await upkeep.late(limit=10) == []
    assert 0 < (cancelled.deadline - utc_now()).total_seconds() <= CANCEL_SECONDS
    await set_row(parts, task, deadline=utc_now() - timedelta(seconds=1))
    assert await upkeep.late(limit=10) == [task.id]

    (moved,) = await upkeep.expire([task.id])

    assert (moved.status, moved.error) == (TaskStatus.CANCELLED, CANCELLED_WITHOUT_EXECUTOR)
    assert moved.job_left_behind == DueTask(task.id, "create-client", "clients")
    found = await parts.store.find(task.id)
    assert (found.status, found.error["type"]) == (TaskStatus.CANCELLED, "task-cancelled")
    assert [entry["outcome"] for entry in found.attempts] == ["cancelled"]
    unclaimed, own = UnclaimedTasks(parts.database), Claimable("clients", {"create-client": "own"})
    assert refusal(await unclaimed.find(task.id, own), own) is Refusal.JOB_LEFT_BEHIND
    left = await unclaimed.left_behind(task.id)
    assert left is not None
    assert left.job == JOB


async def test_a_cancel_makes_an_earlier_deadline_no_later(parts: Any, new_task: MakeTask):
    task, soon = await started(parts, new_task()), utc_now() + timedelta(seconds=5)
    await set_row(parts, task, deadline=soon)
    assert (await parts.store.cancel(task.id)).deadline == soon


async def test_a_cancel_during_a_poll_ends_what_would_go_on(parts: Any, new_task: MakeTask):
    task = await started(parts, new_task(), seconds=0)
    claimed = await parts.claims("one").claim(task.id)
    await parts.store.cancel(task.id)
    recorded = await parts.claims("one").finish(claimed, goes_on())
    assert (recorded.status, recorded.upstream_job) == (TaskStatus.CANCELLED, JOB)
    found = await parts.store.find(task.id)
    assert [entry["outcome"] for entry in found.attempts] == ["cancelled"]


async def test_one_that_expires_leaves_its_job_to_an_executor_of_its_operation(
    parts: Any, new_task: MakeTask
):
    task, upkeep = await started(parts, new_task()), Upkeep(parts.database)
    await set_row(parts, task, deadline=utc_now() - timedelta(seconds=1))
    (moved,) = await upkeep.expire([task.id])
    assert moved.job_left_behind == DueTask(task.id, "create-client", "clients")
    found = await parts.store.find(task.id)
    assert [entry["outcome"] for entry in found.attempts] == ["expired"]
    unclaimed = UnclaimedTasks(parts.database)
    own = Claimable("clients", {"create-client": "own"})
    assert refusal(await unclaimed.find(task.id, own), own) is Refusal.JOB_LEFT_BEHIND
    left = await unclaimed.left_behind(task.id)
    assert left is not None
    assert (left.job, left.attempt) == (JOB, 1)
    for other in (Claimable("others", own.revisions), Claimable("clients", {})):
        assert refusal(await unclaimed.find(task.id, other), other) is Refusal.NOT_WAITING


async def test_without_a_job_nothing_is_left_behind(parts: Any, new_task: MakeTask):
    new, upkeep = new_task(), Upkeep(parts.database)
    await parts.store.add(new)
    task = await parts.claims("one").claim(new.id)
    await parts.claims("one").report(Progress(task.id, 1, 10, None))
    await set_row(parts, task, deadline=utc_now() - timedelta(seconds=1))
    (moved,) = await upkeep.expire([task.id])
    assert moved.job_left_behind is None


async def test_a_retry_forgets_the_job(parts: Any, new_task: MakeTask):
    task = await started(parts, new_task(), seconds=0)
    claimed = await parts.claims("one").claim(task.id)
    failed = Outcome(TaskStatus.FAILED, upstream_job=JOB)
    await parts.claims("one").finish(claimed, failed)
    retried = await parts.store.retry(task.id, more_attempts=1)
    assert (retried.shown_status, retried.upstream_job) == (TaskStatus.QUEUED, None)
    assert (await parts.claims("one").claim(task.id)).attempt == 2
