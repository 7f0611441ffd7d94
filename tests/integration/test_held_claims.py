"""What an executor claims of operations that are paused or whose upstream is left alone."""

from collections.abc import Callable
from typing import Any

import pytest

from asyncexecutor.misses import Miss, Misses
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.statements.claims import Claimable, Claims
from asynctasks.statements.unclaimed import Refusal, UnclaimedTasks, refusal
from asynctasks.task import TaskStatus
from asynctasks.upstream_job import UpstreamJob

MakeTask = Callable[..., NewTask]
JOB = UpstreamJob(url="http://u/jobs/1", started_at="2026-01-01T00:00:00+00:00")
REVISIONS = {"create-client": "own", "other": "own"}


@pytest.fixture
def held() -> list[str]:
    """The operations that are held; a test changes it as it goes."""
    return ["create-client"]


@pytest.fixture
def claims(parts: Any, held: list[str]) -> Claims:
    return parts.claims("one", claimable=Claimable("clients", REVISIONS, held=lambda: held))


async def test_nothing_of_a_held_operation_is_claimed_and_the_others_go_on(
    parts: Any, new_task: MakeTask, held: list[str], claims: Claims
):
    task_id = await parts.add(new_task())
    other = await parts.add(new_task(operation="other"))
    assert await claims.claim(task_id) is None
    assert await claims.claim(other) is not None
    held.clear()
    claimed = await claims.claim(task_id)
    assert claimed is not None
    assert claimed.attempt == 1


async def test_a_job_that_an_upstream_works_on_is_polled_all_the_same(
    parts: Any, new_task: MakeTask, held: list[str], claims: Claims
):
    task_id = await parts.add(new_task())
    held.clear()
    task = await claims.claim(task_id)
    assert task is not None
    goes_on = Outcome(TaskStatus.QUEUED, retry_after_seconds=0, upstream_job=JOB)
    await claims.finish(task, goes_on)
    held.append("create-client")
    polled = await claims.claim(task_id)
    assert polled is not None
    assert polled.job == JOB


async def test_its_message_is_forgotten_and_its_row_is_held_uncounted(
    parts: Any, new_task: MakeTask, claims: Claims
):
    task_id = await parts.add(new_task(published=True, publish_in_seconds=60.0))
    found = await UnclaimedTasks(parts.database).find(task_id, claims.claimable)
    assert refusal(found, claims.claimable) is Refusal.HELD
    assert await Misses(parts.database, claims).settle(task_id) is Miss.FORGET
    row = await parts.store.find(task_id)
    assert (row.status, row.published, row.attempt, row.attempts) == ("queued", False, 0, [])
    assert row.version == 1
