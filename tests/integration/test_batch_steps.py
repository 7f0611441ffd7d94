"""What a batch does to rows, each test on both databases: as one call does it, once, and wholly."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update

from asyncproxy.relay.batches import BatchDuty
from asynctasks.batch import Batch, BatchAction, BatchStatus
from asynctasks.broker.in_memory import InMemoryBroker
from asynctasks.broker.messages import Reply
from asynctasks.errors import (
    BatchFinishedError,
    BatchNotFoundError,
    DatabaseUnavailableError,
    TaskNotFoundError,
)
from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.statements.batch_search import BatchSearch, Found
from asynctasks.statements.batch_steps import BatchSteps
from asynctasks.statements.batches import Batches
from asynctasks.statements.conditions import blobs, tasks
from asynctasks.statements.pages import Filter
from asynctasks.task import TaskStatus, new_task_id
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.releasing import release

OpenParts = Callable[[str], AbstractAsyncContextManager[Any]]
MakeTask = Callable[..., NewTask]
JOB = {"url": "http://u/jobs/1"}


def kinds() -> dict[str, dict[str, Any]]:
    """A row of each kind, with times of now."""
    finished: dict[str, Any] = {"finished_at": utc_now(), "attempt": 2, "next_publish_at": None}
    return {
        "queued": {"reply_to": "replies"},
        "delayed": {"run_after": utc_now() + timedelta(hours=1)},
        "published": {"published": True},
        "waits for a poll": {"upstream_job": JOB, "attempt": 1},
        "running": {"status": TaskStatus.RUNNING, "attempt": 1},
        "polls": {"status": TaskStatus.RUNNING, "attempt": 1, "upstream_job": JOB},
        "to be cancelled": {"status": TaskStatus.RUNNING, "cancel_requested": True},
        "failed": {
            **finished,
            "status": TaskStatus.FAILED,
            "deadline": utc_now() - timedelta(seconds=1),
            "response_status": 404,
            "coalescing_key": "equal",
            "interruptions": 1,
            "reply_to": "replies",
        },
        "cancelled": {**finished, "status": TaskStatus.CANCELLED, "error": {"type": "x"}},
        "expired": {**finished, "status": TaskStatus.EXPIRED, "cancel_requested": True},
        "succeeded": {**finished, "status": TaskStatus.SUCCEEDED, "response_blob": "kept"},
    }


async def stored(parts: Any, new_task: MakeTask, given: dict[str, dict[str, Any]]) -> list[UUID]:
    ids: list[UUID] = []
    for values in given.values():
        ids.append(await parts.add(new_task()))
        await set_rows(parts, ids[-1:], **values)
    return ids


async def set_rows(parts: Any, ids: list[UUID], **values: Any) -> None:
    async with parts.database.write() as connection:
        await connection.execute(update(tasks).where(tasks.c.id.in_(ids)).values(**values))


async def rows(parts: Any, ids: list[UUID]) -> list[dict[str, Any] | None]:
    """As they stand, but for what differs from one task to another."""
    async with parts.database.read() as connection:
        found = (await connection.execute(select(tasks))).mappings().all()
    by_id = {row["id"]: {**row} for row in found}
    for row in by_id.values():
        for name in ("id", "created_at"):
            del row[name]
        for name, value in row.items():
            if name in {"finished_at", "next_publish_at", "run_after", "deadline"} and value:
                # To the minute, which no other value that is right is in.
                row[name] = round((value - utc_now()).total_seconds() / 60)
    return [by_id.get(one) for one in ids]


def new_batch(action: BatchAction, **values: Any) -> Batch:
    now = utc_now()
    given: dict[str, Any] = {
        "id": new_task_id(),
        "action": action,
        "filter": {},
        "created_at": now,
        "stepped_at": now,
        **values,
    }
    return Batch(**given)


def duty_of(parts: Any, broker: Any = None, *, size: int = 2, **given: Any) -> BatchDuty:
    steps = BatchSteps(database=parts.database, more_attempts=lambda _: 3, **given)
    return BatchDuty(
        Batches(parts.database),
        BatchSearch(parts.database, size=size, seconds=PATIENCE_SECONDS),
        steps,
        broker or InMemoryBroker(),
        interval_seconds=60,
        audit=None,
    )


async def carried_out(parts: Any, batch: Batch, duty: BatchDuty | None = None) -> Batch:
    await Batches(parts.database).add(batch)
    duty = duty or duty_of(parts)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await found_batch(parts, batch)).status.is_final:
            await duty.step()
    return found


async def found_batch(parts: Any, batch: Batch) -> Batch:
    return await Batches(parts.database).find(batch.id, principal=batch.principal)


async def one_call(parts: Any, action: BatchAction, task_id: UUID) -> None:
    match action:
        case BatchAction.CANCEL:
            await parts.store.cancel(task_id)
        case BatchAction.RETRY:
            await parts.store.retry(task_id, more_attempts=3)
        case BatchAction.DELETE:
            await parts.store.delete(task_id)


@pytest.mark.parametrize("action", BatchAction)
async def test_each_row_becomes_what_the_call_for_one_makes_of_it(
    parts: Any, new_task: MakeTask, action: BatchAction
):
    singly = await stored(parts, new_task, kinds())
    refused = 0
    for task_id in singly:
        try:
            await one_call(parts, action, task_id)
        except Exception as error:  # noqa: BLE001 - any refusal
            assert "task is" in str(error) or "task has" in str(error)  # noqa: PT017
            refused += 1
    expected = await rows(parts, singly)
    async with parts.database.write() as connection:
        await connection.execute(tasks.delete())

    together = await stored(parts, new_task, kinds())
    batch = await carried_out(parts, new_batch(action))

    assert await rows(parts, together) == expected
    # One whose end was asked for already is no refusal, and nothing to do.
    idle = 1 if action is BatchAction.CANCEL else 0
    assert batch.counts == {
        "matched": len(kinds()) - refused - idle,
        "done": len(kinds()) - refused - idle,
        "skipped": 0,
        "failed": 0,
    }
    assert batch.finished_at is not None


async def test_who_waits_for_a_task_that_a_batch_cancels_is_told(parts: Any, new_task: MakeTask):
    broker = InMemoryBroker()
    replies: list[Any] = []
    async with broker.temporary_reply_queue(replies.append) as name:
        task_id = await parts.add(new_task(reply_to=name))
        await carried_out(parts, new_batch(BatchAction.CANCEL), duty_of(parts, broker))
    (reply,) = replies
    assert isinstance(reply, Reply)
    assert (reply.task_id, reply.status) == (task_id, TaskStatus.CANCELLED)
    assert reply.error is not None
    assert reply.error.type == "task-cancelled"


async def test_a_deleted_tasks_blob_is_an_orphan_at_once(parts: Any, new_task: MakeTask):
    (task_id,) = await stored(parts, new_task, {"succeeded": kinds()["succeeded"]})
    now = utc_now()
    async with parts.database.write() as connection:
        kept = {"name": "kept", "task_id": task_id, "touched_at": now}
        await connection.execute(insert(blobs).values(kept))
    await carried_out(parts, new_batch(BatchAction.DELETE))
    async with parts.database.read() as connection:
        touched_at = await connection.scalar(select(blobs.c.touched_at))
    assert touched_at < now - timedelta(minutes=50)
    with pytest.raises(TaskNotFoundError):
        await parts.store.find(task_id)


FAILED = {"failed": kinds()["failed"] | {"coalescing_key": None}}


async def failed(parts: Any, new_task: MakeTask, count: int) -> list[UUID]:
    ids = [await parts.add(new_task()) for _ in range(count)]
    await set_rows(parts, ids, **FAILED["failed"])
    return ids


async def test_what_is_retried_is_held_and_released_as_its_queues_window_lets_it(
    parts: Any, new_task: MakeTask
):
    ids = await failed(parts, new_task, 7)
    await carried_out(parts, new_batch(BatchAction.RETRY))
    due = await release(parts.database, window=3)
    assert [one.id for one in due] == ids[:3]


async def test_what_was_created_after_it_was_asked_for_is_left_alone(
    parts: Any, new_task: MakeTask
):
    ids = await failed(parts, new_task, 3)
    batch = new_batch(BatchAction.RETRY)
    later = await failed(parts, new_task, 2)
    assert (await carried_out(parts, batch)).done == 3
    statuses = [(await parts.store.find(one)).status for one in (*ids, *later)]
    assert statuses == [TaskStatus.QUEUED] * 3 + [TaskStatus.FAILED] * 2


async def test_a_task_that_fails_again_meanwhile_has_no_second_turn(parts: Any, new_task: MakeTask):
    ids, batch = await failed(parts, new_task, 5), new_batch(BatchAction.RETRY)
    await Batches(parts.database).add(batch)
    duty = duty_of(parts)
    await duty.step()
    await set_rows(parts, ids[:2], **FAILED["failed"])
    for _ in range(5):
        await duty.step()
    assert (await found_batch(parts, batch)).done == 5
    assert [(await parts.store.find(one)).status.value for one in ids[:3]] == [
        *("failed", "failed", "queued")
    ]


async def test_a_relay_that_is_killed_within_a_step_leaves_nothing_half_done(
    parts: Any, new_task: MakeTask, monkeypatch: pytest.MonkeyPatch
):
    ids, batch = await failed(parts, new_task, 7), new_batch(BatchAction.RETRY)
    await Batches(parts.database).add(batch)
    duty = duty_of(parts)
    await duty.step()

    def killed(*_: Any) -> Any:
        raise DatabaseUnavailableError

    # After the tasks were changed, and before that is noted and committed.
    with monkeypatch.context() as patched:
        patched.setattr("asynctasks.statements.batch_steps._progress", killed)
        with pytest.raises(DatabaseUnavailableError):
            await duty.step()
    statuses = [(await parts.store.find(one)).status for one in ids]
    assert statuses == [TaskStatus.QUEUED] * 2 + [TaskStatus.FAILED] * 5

    other = duty_of(parts)
    for _ in range(5):
        await other.step()
    assert (await found_batch(parts, batch)).counts == {
        "matched": 7,
        "done": 7,
        "skipped": 0,
        "failed": 0,
    }
    found = [await parts.store.find(one) for one in ids]
    assert {(task.status, task.version, task.max_attempts) for task in found} == {
        (TaskStatus.QUEUED, 2, 5)
    }


async def test_two_relays_at_once_do_nothing_twice(
    database_url: str, open_parts: OpenParts, new_task: MakeTask
):
    async with open_parts(database_url) as one, open_parts(database_url) as other:
        ids, batch = await failed(one, new_task, 40), new_batch(BatchAction.RETRY)
        await Batches(one.database).add(batch)
        duties = [duty_of(parts, size=3) for parts in (one, other, one, other)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await found_batch(one, batch)).status.is_final:
                await asyncio.gather(*(duty.step() for duty in duties))
        assert (await found_batch(one, batch)).counts["done"] == len(ids)
        found = [await one.store.find(task_id) for task_id in ids]
        assert {(task.status, task.version) for task in found} == {(TaskStatus.QUEUED, 2)}


async def test_a_step_waits_for_no_lock_and_the_task_has_its_turn_later(
    postgresql_url: str, open_parts: OpenParts, new_task: MakeTask
):
    async with open_parts(postgresql_url) as parts:
        ids, batch = await failed(parts, new_task, 5), new_batch(BatchAction.RETRY)
        await Batches(parts.database).add(batch)
        duty = duty_of(parts, size=10)
        async with parts.database.write() as holder:
            await holder.execute(
                text("SELECT 1 FROM tasks WHERE id = ANY (:ids) FOR UPDATE"), {"ids": ids[1:3]}
            )
            async with asyncio.timeout(PATIENCE_SECONDS):
                await duty.step()
            found = await found_batch(parts, batch)
            assert (found.status, found.matched, found.done) == (BatchStatus.RUNNING, 5, 3)
            assert sorted(found.locked) == sorted(one.hex for one in ids[1:3])
            # Meanwhile one of them is no longer what was looked for.
            await holder.execute(
                update(tasks).where(tasks.c.id == ids[1]).values(status=TaskStatus.SUCCEEDED)
            )
        await duty.step()
        found = await found_batch(parts, batch)
        assert (found.status, found.locked) == (BatchStatus.SUCCEEDED, [])
        assert found.counts == {"matched": 5, "done": 4, "skipped": 1, "failed": 0}


async def test_what_others_have_changed_or_deleted_meanwhile_is_skipped(
    parts: Any, new_task: MakeTask
):
    ids, batch = await failed(parts, new_task, 4), new_batch(BatchAction.RETRY)
    await Batches(parts.database).add(batch)
    await parts.store.delete(ids[0])
    await parts.store.retry(ids[1], more_attempts=1)
    steps = BatchSteps(database=parts.database, more_attempts=lambda _: 3)
    stepped = await steps.step(batch, Found(ids, None), status=None)
    assert stepped is not None
    assert stepped.batch.counts == {"matched": 4, "done": 2, "skipped": 2, "failed": 0}
    # As it was read it is no more.
    assert await steps.step(batch, Found(ids, None), status=None) is None


async def test_where_no_index_helps_the_table_is_walked_in_windows(parts: Any, new_task: MakeTask):
    expected: list[UUID] = []
    for number in range(30):
        labels = {"team": "a" if number % 4 == 0 or number > 25 else "b"}
        task_id = await parts.add(new_task(labels=labels))
        expected += [task_id] if labels["team"] == "a" else []
    for size, window in ((2, 5), (5, 2), (100, 7), (3, 100)):
        search = BatchSearch(parts.database, size=size, seconds=PATIENCE_SECONDS, window=window)
        batch = new_batch(BatchAction.CANCEL)
        search._dear.add(batch.id)
        found: list[UUID] = []
        steps = 0
        while True:
            step = await search.find(batch, Filter(labels={"team": "a"}))
            assert len(step.ids) <= min(size, window)
            found += step.ids
            steps += 1
            if step.until is None:
                break
            batch.found_until = step.until
        assert found == expected
        assert steps >= 30 // window


async def test_a_search_that_takes_too_long_goes_on_in_windows(
    parts: Any, new_task: MakeTask, monkeypatch: pytest.MonkeyPatch
):
    ids = await failed(parts, new_task, 3)
    search, batch = BatchSearch(parts.database, seconds=0.2), new_batch(BatchAction.RETRY)
    asked: list[UUID | None] = []
    find = search._find

    async def dear(batch: Batch, which: Filter, *, end: UUID | None) -> Found:
        asked.append(end)
        if len(asked) == 1:
            async with parts.database.read_long(seconds=0.2) as connection:
                await connection.execute(text(ENDLESS[connection.dialect.name]))
        return await find(batch, which, end=end)

    monkeypatch.setattr(search, "_find", dear)
    monkeypatch.setattr(search, "_window", 3)
    for _ in range(2):
        assert (await search.find(batch, Filter())).ids == ids
    # From then on it is not tried again.
    assert asked == [None, ids[-1], ids[-1]]


ENDLESS = {
    "postgresql": "SELECT pg_sleep(60)",
    "sqlite": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
    " SELECT count(*) FROM c",
}


async def test_of_several_batches_each_has_its_turn(parts: Any, new_task: MakeTask):
    await failed(parts, new_task, 8)
    large, small = new_batch(BatchAction.RETRY), new_batch(BatchAction.DELETE)
    for batch in (large, small):
        await Batches(parts.database).add(batch)
    duty = duty_of(parts)
    for _ in range(2):
        await duty.step()
    for batch in (large, small):
        assert (await found_batch(parts, batch)).matched == 2


async def test_a_batch_that_cannot_be_read_keeps_no_other_waiting(parts: Any, new_task: MakeTask):
    await failed(parts, new_task, 3)
    odd = new_batch(BatchAction.RETRY, filter={"of_a_later_version": "x"})
    await Batches(parts.database).add(odd)
    duty = duty_of(parts)
    await duty.step()
    good = await carried_out(parts, new_batch(BatchAction.RETRY), duty)
    assert good.done == 3
    assert (await found_batch(parts, odd)).status is BatchStatus.QUEUED


async def test_a_cancelled_batch_makes_no_further_step(parts: Any, new_task: MakeTask):
    ids, batch = await failed(parts, new_task, 5), new_batch(BatchAction.RETRY)
    batches, duty = Batches(parts.database), duty_of(parts)
    await batches.add(batch)
    await duty.step()
    cancelled = await batches.cancel(batch.id, principal="")
    assert (cancelled.status, cancelled.done) == (BatchStatus.CANCELLED, 2)
    assert cancelled.finished_at is not None
    for _ in range(3):
        await duty.step()
    assert (await found_batch(parts, batch)).done == 2
    assert [(await parts.store.find(one)).status.value for one in ids[1:3]] == ["queued", "failed"]
    with pytest.raises(BatchFinishedError, match="been cancelled"):
        await batches.cancel(batch.id, principal="")
    with pytest.raises(BatchNotFoundError):
        await batches.cancel(batch.id, principal="ann")


async def test_batches_are_forgotten_some_time_after_they_have_finished(
    parts: Any, new_task: MakeTask
):
    await failed(parts, new_task, 1)
    batches = Batches(parts.database)
    done = await carried_out(parts, new_batch(BatchAction.RETRY))
    open_one = new_batch(BatchAction.RETRY, created_at=utc_now() - timedelta(days=9))
    await batches.add(open_one)
    assert await batches.purge(limit=10, retention_seconds=60) == 0
    assert await batches.purge(limit=10, retention_seconds=-60) == 1
    with pytest.raises(BatchNotFoundError):
        await found_batch(parts, done)
    await found_batch(parts, open_one)
