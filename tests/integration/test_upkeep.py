"""What the relay's statements do to rows, each test on both databases."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text, update

from asynctasks.attempt_history import KEPT_ATTEMPTS
from asynctasks.errors import TaskFinishedError, TaskNotFinishedError
from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.conditions import tasks
from asynctasks.statements.upkeep import Upkeep
from asynctasks.task import Task, TaskStatus
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.releasing import release

MakeTask = Callable[..., NewTask]
OpenParts = Callable[[str], AbstractAsyncContextManager[Any]]
SUCCEEDED = Outcome(TaskStatus.SUCCEEDED, Response(201, "application/json", b"{}"))
FAILED = Outcome(TaskStatus.FAILED, Response(400, "application/json", b"{}"))


@pytest.fixture
def upkeep(parts: Any) -> Upkeep:
    return Upkeep(parts.database)


async def claimed(parts: Any, new: NewTask, executor: str = "one") -> ClaimedTask:
    await parts.store.add(new)
    task = await parts.claims(executor).claim(new.id)
    assert task is not None
    return task


async def set_row(parts: Any, task_id: UUID, **values: Any) -> None:
    async with parts.database.write() as connection:
        await connection.execute(update(tasks).where(tasks.c.id == task_id).values(**values))


async def kill_executor(parts: Any, task_id: UUID) -> None:
    """Its lease has run out."""
    await set_row(parts, task_id, lease_until=utc_now() - timedelta(seconds=1))


async def test_a_task_with_a_dead_lease_is_due_at_once_with_its_interruption_recorded(
    parts: Any, new_task: MakeTask, upkeep: Upkeep
):
    first = await claimed(parts, new_task(), "dead")
    assert await upkeep.dead(limit=10) == []
    assert await upkeep.return_dead([first.id]) == []
    await kill_executor(parts, first.id)
    assert await upkeep.dead(limit=10) == [first.id]
    (moved,) = await upkeep.return_dead([first.id])
    assert (moved.id, moved.status, moved.error) == (first.id, TaskStatus.QUEUED, None)
    assert await upkeep.return_dead([first.id]) == []
    task = await parts.store.find(first.id)
    assert (task.status, task.attempt, task.interruptions) == (TaskStatus.QUEUED, 1, 1)
    (entry,) = task.attempts
    assert (entry["number"], entry["outcome"], entry["executor"]) == (1, "interrupted", "dead")
    assert entry["startedAt"] <= entry["finishedAt"]
    due = await release(parts.database)
    assert [one.id for one in due] == [first.id]
    second = await parts.claims("alive").claim(first.id)
    assert (second.attempt, second.interruptions) == (2, 1)


async def test_an_executor_that_lost_its_lease_changes_nothing_of_the_newer_attempt(
    parts: Any, new_task: MakeTask, upkeep: Upkeep
):
    paused = parts.claims("paused")
    first = await claimed(parts, new_task(), "paused")
    await kill_executor(parts, first.id)
    await upkeep.return_dead([first.id])
    # Queued again: neither its outcome nor its renewal counts any more.
    assert await paused.finish(first, SUCCEEDED) is None
    assert await paused.renew([first.id]) == []
    second = await parts.claims("alive").claim(first.id)
    assert await paused.finish(first, SUCCEEDED) is None
    assert await paused.renew([first.id]) == []
    assert await parts.claims("alive").finish(second, FAILED) == FAILED
    assert await paused.finish(first, SUCCEEDED) is None
    assert (await parts.store.find(first.id)).response_status == 400


async def test_the_same_executors_earlier_attempt_is_fenced_too(
    parts: Any, new_task: MakeTask, upkeep: Upkeep
):
    claims = parts.claims("one")
    first = await claimed(parts, new_task())
    await kill_executor(parts, first.id)
    await upkeep.return_dead([first.id])
    second = await claims.claim(first.id)
    assert await claims.finish(first, FAILED) is None
    assert await claims.finish(second, SUCCEEDED) == SUCCEEDED


async def test_a_renewed_lease_is_not_dead(parts: Any, new_task: MakeTask, upkeep: Upkeep):
    first = await claimed(parts, new_task())
    await kill_executor(parts, first.id)
    assert len(await parts.claims("one").renew([first.id])) == 1
    assert await upkeep.dead(limit=10) == []
    assert await upkeep.return_dead([first.id]) == []


async def test_many_leases_are_renewed_by_one_statement(parts: Any, new_task: MakeTask):
    claims = parts.claims("one")
    ids = [(await claimed(parts, new_task())).id for _ in range(30)]
    statements: list[str] = []
    engine = parts.database._writers.sync_engine

    def count(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    assert len(await claims.renew(ids)) == 30
    assert len([one for one in statements if one.startswith("UPDATE")]) == 1
    assert len(statements) <= 2  # SQLite's BEGIN among them


async def test_two_relays_return_each_dead_task_once(
    database_url: str, open_parts: OpenParts, new_task: MakeTask
):
    async with open_parts(database_url) as one, open_parts(database_url) as other:
        ids = [(await claimed(one, new_task())).id for _ in range(20)]
        for task_id in ids:
            await kill_executor(one, task_id)
        returned = await asyncio.gather(
            *(
                Upkeep(parts.database).return_dead(ids[at : at + 10])
                for parts in (one, other)
                for at in (0, 5, 10)
            )
        )
        returned.append(await Upkeep(one.database).return_dead(ids))  # what both had passed over
        assert sorted(task.id for moved in returned for task in moved) == sorted(ids)
        found = [await one.store.find(task_id) for task_id in ids]
        assert {(task.interruptions, len(task.attempts)) for task in found} == {(1, 1)}


async def test_a_dead_executors_task_that_was_to_be_cancelled_is_and_its_caller_is_named(
    parts: Any, new_task: MakeTask, upkeep: Upkeep
):
    first = await claimed(parts, new_task(reply_to="replies"))
    await parts.store.cancel(first.id)
    await kill_executor(parts, first.id)
    (ended,) = await upkeep.return_dead([first.id])
    assert (ended.id, ended.status, ended.reply_to) == (
        first.id,
        TaskStatus.CANCELLED,
        "replies",
    )
    task = await parts.store.find(first.id)
    assert (task.status, task.attempts[0]["outcome"]) == (TaskStatus.CANCELLED, "cancelled")
    assert task.finished_at is not None
    assert task.error["type"] == "task-cancelled"
    assert await release(parts.database) == []


async def test_queued_and_running_tasks_expire_and_finished_ones_do_not(
    parts: Any, new_task: MakeTask, upkeep: Upkeep
):
    soon = utc_now() + timedelta(hours=1)
    running = await claimed(parts, new_task(deadline=soon, reply_to="replies"))
    done = await claimed(parts, new_task(deadline=soon))
    await parts.claims("one").finish(done, SUCCEEDED)
    queued, later = new_task(deadline=soon), new_task(deadline=soon + timedelta(hours=1))
    for new in (queued, later):
        await parts.store.add(new)
    assert await upkeep.late(limit=10) == []
    for task_id in (running.id, queued.id, done.id):
        await set_row(parts, task_id, deadline=utc_now() - timedelta(seconds=1))
    late = await upkeep.late(limit=10)
    assert sorted(late) == sorted([running.id, queued.id])
    ended = await upkeep.expire([*late, done.id, later.id])
    assert {one.id: one.reply_to for one in ended} == {running.id: "replies", queued.id: None}
    assert await upkeep.expire(late) == []
    expired = await parts.store.find(running.id)
    assert (expired.status, expired.error["status"]) == (TaskStatus.EXPIRED, 504)
    assert [entry["outcome"] for entry in expired.attempts] == ["expired"]
    assert (await parts.store.find(queued.id)).attempts == []
    assert await parts.claims("one").finish(running, SUCCEEDED) is None
    assert await parts.claims("one").claim(queued.id) is None
    assert (await parts.store.find(done.id)).status is TaskStatus.SUCCEEDED


async def test_a_deadline_in_seconds_counts_from_the_databases_now(parts: Any, new_task: MakeTask):
    long_ago = utc_now() - timedelta(days=365)
    new = new_task(created_at=long_ago, deadline_seconds=60)
    await parts.store.add(new)
    deadline = (await parts.store.find(new.id)).deadline
    assert abs(deadline - utc_now() - timedelta(seconds=60)) < timedelta(seconds=10)


async def test_what_was_published_is_lost_after_its_grace_and_for_its_queue_alone(
    parts: Any, new_task: MakeTask, upkeep: Upkeep
):
    overdue = new_task(published=True, publish_in_seconds=0)
    fresh = new_task(published=True, publish_in_seconds=60)
    elsewhere = new_task(published=True, publish_in_seconds=0, queue="other")
    taken = new_task(published=True, publish_in_seconds=0)
    for new in (overdue, fresh, elsewhere, taken):
        await parts.store.add(new)
    await parts.claims("one").claim(taken.id)
    assert sorted(await upkeep.overdue_queues()) == ["clients", "other"]
    assert await upkeep.count_published("clients") == 2
    lost = await upkeep.take_lost("clients", limit=10, again_in_seconds=60)
    assert [one.id for one in lost] == [overdue.id]
    assert await upkeep.take_lost("clients", limit=10, again_in_seconds=60) == []
    assert await upkeep.overdue_queues() == ["other"]


async def test_the_book_keeping_of_publishing_over_a_tasks_life(
    parts: Any, new_task: MakeTask, upkeep: Upkeep
):
    async def book() -> tuple[bool, bool]:
        task = await parts.store.find(new.id)
        return task.published, task.next_publish_at is not None

    new, claims = new_task(), parts.claims("one")
    await parts.store.add(new)
    assert await book() == (False, True)
    await release(parts.database)
    assert await book() == (True, True)
    first = await claims.claim(new.id)
    assert await book() == (False, False)
    await claims.finish(first, Outcome(TaskStatus.QUEUED, retry_after_seconds=60))
    assert await book() == (False, True)
    assert await release(parts.database) == []
    await parts.store.cancel(new.id)
    assert await book() == (False, False)
    await parts.store.retry(new.id, more_attempts=1)
    assert await book() == (False, True)
    assert len(await release(parts.database)) == 1


async def test_the_backlog_counts_what_is_due_whether_published_or_not(
    parts: Any, new_task: MakeTask, upkeep: Upkeep
):
    """With the broker away nothing is published, and yet the queue grows."""
    await parts.store.add(new_task(published=True, publish_in_seconds=60))
    await parts.store.add(new_task(published=False, publish_in_seconds=0))
    await parts.store.add(new_task(operation="other", published=True, publish_in_seconds=0))
    await parts.store.add(new_task(delay_seconds=60, publish_in_seconds=60))
    done = await claimed(parts, new_task())
    await parts.claims("one").finish(done, SUCCEEDED)
    backlog = (await upkeep.backlogs(seconds=60))["clients"]
    assert (backlog.queued, backlog.finished) == ({"create-client": 2, "other": 1}, 1)


async def test_a_retry_is_queued_with_new_attempts_and_nothing_of_the_old_end(
    parts: Any, new_task: MakeTask
):
    claims = parts.claims("one")
    first = await claimed(parts, new_task(max_attempts=1, reply_to="replies"))
    with pytest.raises(TaskNotFinishedError):
        await parts.store.retry(first.id, more_attempts=3)
    await claims.finish(first, FAILED)
    task = await parts.store.retry(first.id, more_attempts=3)
    assert (task.status, task.attempt, task.max_attempts) == (TaskStatus.QUEUED, 1, 4)
    assert (task.response, task.error, task.finished_at, task.reply_to) == (None,) * 4
    second = await claims.claim(first.id)
    assert (second.attempt, second.attempt - second.interruptions) == (2, 2)
    await claims.finish(second, SUCCEEDED)
    with pytest.raises(TaskFinishedError):
        await parts.store.retry(first.id, more_attempts=3)


@pytest.mark.parametrize("end", ["failed", "expired", "cancelled"])
async def test_a_retry_forgets_a_deadline_that_has_passed_whatever_ended_the_task(
    parts: Any, new_task: MakeTask, upkeep: Upkeep, end: str
):
    new = new_task(deadline=utc_now() + timedelta(hours=1))
    first = await claimed(parts, new)
    if end == "failed":
        await parts.claims("one").finish(first, FAILED)
    if end == "cancelled":
        cancelled = Outcome(TaskStatus.CANCELLED)
        await parts.claims("one").finish(first, cancelled)
    await set_row(parts, new.id, deadline=utc_now() - timedelta(seconds=1))
    await upkeep.expire([new.id])
    assert (await parts.store.find(new.id)).status == end
    assert (await parts.store.retry(new.id, more_attempts=1)).deadline is None
    assert await upkeep.expire([new.id]) == []
    assert await parts.claims("one").claim(new.id) is not None


async def test_a_retry_keeps_a_deadline_to_come(parts: Any, new_task: MakeTask):
    deadline = utc_now() + timedelta(hours=1)
    first = await claimed(parts, new_task(deadline=deadline))
    await parts.claims("one").finish(first, FAILED)
    assert (await parts.store.retry(first.id, more_attempts=1)).deadline == deadline


async def test_a_cancel_and_an_outcome_at_once_never_both_count(
    database_url: str, open_parts: OpenParts, new_task: MakeTask
):
    async with open_parts(database_url) as proxy, open_parts(database_url) as executor:
        claims = executor.claims("one")
        claimed_tasks = [await claimed(executor, new_task()) for _ in range(10)]

        async def cancel(task: ClaimedTask) -> Task | None:
            try:
                return await proxy.store.cancel(task.id)
            except TaskFinishedError:
                return None

        retry = Outcome(TaskStatus.QUEUED, retry_after_seconds=0)
        outcomes = [SUCCEEDED if n % 2 else retry for n in range(10)]
        cancels, recorded = await asyncio.gather(
            asyncio.gather(*map(cancel, claimed_tasks)),
            asyncio.gather(*map(claims.finish, claimed_tasks, outcomes)),
        )
        for task, cancelled, outcome in zip(claimed_tasks, cancels, recorded, strict=True):
            found = await proxy.store.find(task.id)
            assert outcome is not None
            if outcome.status is TaskStatus.SUCCEEDED:
                assert found.status is TaskStatus.SUCCEEDED
                # It was finished, or still running when its end was asked for: then too late.
                assert cancelled is None or cancelled.status is TaskStatus.RUNNING
            else:
                assert found.status is TaskStatus.CANCELLED
                assert await claims.claim(task.id) is None


async def test_the_history_has_a_limit(parts: Any, new_task: MakeTask):
    running = await claimed(parts, new_task())
    before = [{"number": number} for number in range(1, KEPT_ATTEMPTS + 1)]
    await set_row(parts, running.id, attempt=KEPT_ATTEMPTS + 1, attempts=before)
    await kill_executor(parts, running.id)
    await Upkeep(parts.database).return_dead([running.id])
    task = await parts.store.find(running.id)
    assert [entry["number"] for entry in task.attempts] == [*range(2, KEPT_ATTEMPTS + 2)]


@pytest.mark.parametrize("step", ["release", "return_dead", "expire"])
async def test_on_postgresql_a_relay_passes_over_the_rows_that_another_holds(
    postgresql_url: str, open_parts: OpenParts, new_task: MakeTask, step: str
):
    past = utc_now() - timedelta(days=2)
    made = {
        "release": {},
        "return_dead": {"status": TaskStatus.RUNNING, "lease_until": past},
        "expire": {"deadline": past},
    }
    async with open_parts(postgresql_url) as parts:
        news = [new_task() for _ in range(4)]
        for new in news:
            await parts.store.add(new)
            if made[step]:
                await set_row(parts, new.id, **made[step])
        ids = [new.id for new in news]
        async with parts.database.write() as other:
            await other.execute(
                text("SELECT 1 FROM tasks WHERE id = ANY (:ids) FOR UPDATE"), {"ids": ids[:2]}
            )
            async with asyncio.timeout(PATIENCE_SECONDS):
                if step == "release":
                    taken = await release(parts.database)
                else:
                    taken = await getattr(Upkeep(parts.database), step)(ids)
        assert (taken if isinstance(taken, int) else len(taken)) == 2
