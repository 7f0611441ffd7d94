"""Which polls executors take without a message, and that none is taken twice, on both databases."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.claims import Claimable, Claims
from asynctasks.statements.conditions import tasks
from asynctasks.statements.upkeep import DueTask, Upkeep
from asynctasks.task import TaskStatus
from asynctasks.upstream_job import UpstreamJob

MakeTask = Callable[..., NewTask]
JOB = UpstreamJob(url="http://u/jobs/1", started_at="2026-01-01T00:00:00+00:00", state="running")
OPERATION = "create-client"
POLLED = Claimable("clients", {OPERATION: "own"}, polled=[OPERATION])


def goes_on(*, seconds: float) -> Outcome:
    return Outcome(TaskStatus.QUEUED, retry_after_seconds=seconds, upstream_job=JOB)


async def with_job(parts: Any, new: NewTask, *, due_seconds: float = 0, **values: Any) -> UUID:
    """A task whose upstream's job was to be asked for so long ago, with these values of its row."""
    await parts.store.add(new)
    claims = parts.claims("starter")
    await claims.finish(await claims.claim(new.id), goes_on(seconds=0))
    due_at = utc_now() - timedelta(seconds=due_seconds)
    async with parts.database.write() as connection:
        await connection.execute(
            update(tasks)
            .where(tasks.c.id == new.id)
            .values({"run_after": due_at, "next_publish_at": due_at, **values})
        )
    return new.id


def polling(parts: Any, executor: str = "one", claimable: Claimable = POLLED) -> Claims:
    return parts.claims(executor, claimable=claimable)


async def taken(claims: Claims, *, most: int = 100) -> list[UUID]:
    return [task.id for task in await claims.take_polls(most=most)]


async def test_the_polls_that_have_waited_longest_are_taken_as_many_as_there_are_slots(
    parts: Any, new_task: MakeTask
):
    ids = [await with_job(parts, new_task(), due_seconds=seconds) for seconds in (1, 3, 2)]
    await with_job(parts, new_task(), due_seconds=-60)
    claims = polling(parts)
    assert set(await taken(claims, most=2)) == {ids[1], ids[2]}
    assert await taken(claims) == [ids[0]]
    assert await taken(claims) == []


async def test_a_poll_is_a_turn_of_the_same_attempt_under_a_lease(parts: Any, new_task: MakeTask):
    task_id = await with_job(parts, new_task())
    before = await parts.store.find(task_id)
    claims = polling(parts)
    (task,) = await claims.take_polls(most=1)
    assert (task.attempt, task.attempt_started_at, task.job, task.arguments) == (
        1,
        before.attempt_started_at,
        JOB,
        {"name": "Ann"},
    )
    found = await parts.store.find(task_id)
    assert (found.status, found.executor, found.version) == (
        TaskStatus.RUNNING,
        "one",
        before.version,
    )
    assert found.lease_until > utc_now()
    assert [held.id for held in await claims.renew([task_id])] == [task_id]
    assert await claims.finish(task, goes_on(seconds=60)) is not None
    assert await taken(claims) == []
    assert (await parts.store.find(task_id)).version == before.version


async def test_a_cancel_between_two_polls_is_taken_as_one(parts: Any, new_task: MakeTask):
    task_id = await with_job(parts, new_task(), due_seconds=-60)
    await parts.store.cancel(task_id)
    (task,) = await polling(parts).take_polls(most=1)
    assert (task.id, task.cancel_requested) == (task_id, True)


@pytest.mark.parametrize(
    "values",
    [
        {"queue": "another"},
        {"operation": "unknown"},
        {"revision": "later"},
        {"published": True},
        {"deadline": datetime(2026, 1, 1, tzinfo=UTC)},
        {"upstream_job": None},
        {"status": TaskStatus.RUNNING},
        {"status": TaskStatus.SUCCEEDED},
    ],
    ids=str,
)
async def test_what_is_not_its_own_to_poll_is_left_as_it_is(
    parts: Any, new_task: MakeTask, values: dict[str, Any]
):
    task_id = await with_job(parts, new_task(), **values)
    before = await row(parts, task_id)
    assert await taken(polling(parts)) == []
    assert await row(parts, task_id) == before


async def row(parts: Any, task_id: UUID) -> dict[str, Any]:
    async with parts.database.read() as connection:
        found = await connection.execute(select(tasks).where(tasks.c.id == task_id))
        return dict(found.mappings().one())


async def test_of_a_revision_that_nobody_knows_any_more_it_polls_after_a_while(
    parts: Any, new_task: MakeTask
):
    task_id = await with_job(parts, new_task(), revision="gone")
    patient = parts.claims("one", claimable=POLLED, revision_wait_seconds=600)
    assert await taken(patient) == []
    assert await taken(parts.claims("two", claimable=POLLED, revision_wait_seconds=0)) == [task_id]


async def test_no_pause_and_no_limit_keeps_a_poll(parts: Any, new_task: MakeTask):
    task_id = await with_job(parts, new_task())
    claimable = Claimable(
        "clients",
        {OPERATION: "own"},
        held=lambda: [OPERATION],
        limited=[OPERATION],
        polled=[OPERATION],
    )
    assert await taken(polling(parts, claimable=claimable)) == [task_id]


async def test_two_executors_never_take_the_same_poll(parts: Any, new_task: MakeTask):
    ids = [await with_job(parts, new_task()) for _ in range(60)]

    async def all_it_gets(executor: str) -> list[UUID]:
        claims, found = polling(parts, executor), list[UUID]()
        while got := await taken(claims, most=7):
            found += got
        return found

    one, two = await asyncio.gather(all_it_gets("one"), all_it_gets("two"))
    assert sorted(one + two) == sorted(ids)
    if not parts.database.has_one_writer:
        assert one
        assert two


async def test_a_batch_of_an_executor_that_is_killed_goes_to_the_next(
    parts: Any, new_task: MakeTask
):
    ids = [await with_job(parts, new_task()) for _ in range(3)]
    killed = polling(parts, "killed")
    batch = await killed.take_polls(most=3)
    await killed.finish(batch[0], goes_on(seconds=60))
    assert await taken(polling(parts, "two")) == []
    async with parts.database.write() as connection:
        lapsed = utc_now() - timedelta(seconds=1)
        await connection.execute(
            update(tasks).where(tasks.c.lease_until.is_not(None)).values(lease_until=lapsed)
        )
    upkeep = Upkeep(parts.database)
    await upkeep.return_dead(await upkeep.dead(limit=10))
    again = await polling(parts, "two").take_polls(most=3)
    assert {task.id for task in again} == set(ids) - {batch[0].id}
    assert {(task.attempt, task.interruptions) for task in again} == {(1, 0)}
    succeeded = Outcome(TaskStatus.SUCCEEDED, Response(200, "application/json", b"{}"))
    assert await killed.finish(batch[1], succeeded) is None


async def test_the_relay_publishes_what_no_executor_has_taken_for_so_long(
    parts: Any, new_task: MakeTask
):
    late = await with_job(parts, new_task(), due_seconds=9)
    await with_job(parts, new_task(), due_seconds=1)
    due = await Upkeep(parts.database).take_due_polls(limit=10, again_in_seconds=60, late_seconds=5)
    assert due == [DueTask(late, OPERATION, "clients")]
    # By its message from now on.
    assert late not in await taken(polling(parts))
