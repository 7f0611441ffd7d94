"""Each end of a task adds its deliveries in its own transaction, on both databases."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from asynctasks.errors import DeliveryNotFoundError
from asynctasks.instants import utc_now
from asynctasks.operations.delivery_operation import DELIVERY
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Problem, Response
from asynctasks.statements.conditions import tasks
from asynctasks.statements.deliveries import Deliveries
from asynctasks.statements.upkeep import Upkeep
from asynctasks.task import TaskStatus

ALL = ["succeeded", "failed", "cancelled", "expired"]
MakeTask = Callable[..., NewTask]
SUCCEEDED = Outcome(TaskStatus.SUCCEEDED, Response(201, "application/json", b"{}"))
FAILED = Outcome(TaskStatus.FAILED, error=Problem("upstream-failed", "It failed", 502, "so"))


def callback(url: str = "https://erp.example.com/hooks", **values: Any) -> dict[str, Any]:
    return {"url": url, "events": ALL, "include": "nothing", **values}


async def _finish(parts: Any, task_id: UUID, outcome: Outcome) -> None:
    claims = parts.claims("one")
    task = await claims.claim(task_id)
    assert await claims.finish(task, outcome) is not None


async def _succeed(parts: Any, task_id: UUID) -> None:
    await _finish(parts, task_id, SUCCEEDED)


async def _fail(parts: Any, task_id: UUID) -> None:
    await _finish(parts, task_id, FAILED)


async def _cancel_while_queued(parts: Any, task_id: UUID) -> None:
    await parts.store.cancel(task_id)


async def _cancel_before_a_retry(parts: Any, task_id: UUID) -> None:
    claims = parts.claims("one")
    task = await claims.claim(task_id)
    await parts.store.cancel(task_id)
    await claims.finish(task, Outcome(TaskStatus.QUEUED, retry_after_seconds=60))


async def _lose_while_cancelled(parts: Any, task_id: UUID) -> None:
    await parts.claims("one", lease_seconds=0).claim(task_id)
    await parts.store.cancel(task_id)
    assert await Upkeep(parts.database).return_dead([task_id])


async def _expire(parts: Any, task_id: UUID) -> None:
    await _set(parts, task_id, deadline=utc_now() - timedelta(seconds=1))
    assert await Upkeep(parts.database).expire([task_id])


async def _set(parts: Any, task_id: UUID, **values: Any) -> None:
    async with parts.database.write() as connection:
        await connection.execute(update(tasks).where(tasks.c.id == task_id).values(values))


ENDS: dict[str, tuple[TaskStatus, Callable[[Any, UUID], Awaitable[None]]]] = {
    "an executor's answer": (TaskStatus.SUCCEEDED, _succeed),
    "an executor's failure": (TaskStatus.FAILED, _fail),
    "a cancel by HTTP": (TaskStatus.CANCELLED, _cancel_while_queued),
    "a cancel that leaves no retry": (TaskStatus.CANCELLED, _cancel_before_a_retry),
    "a cancel with a dead executor": (TaskStatus.CANCELLED, _lose_while_cancelled),
    "its deadline": (TaskStatus.EXPIRED, _expire),
}


@pytest.mark.parametrize("end", ENDS)
async def test_whoever_ends_a_task_adds_its_delivery(parts: Any, new_task: MakeTask, end: str):
    status, act = ENDS[end]
    new = new_task(
        callbacks=[callback()],
        labels={"order": "7"},
        principal="ann",
        tenant="red",
        created_at=utc_now(),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        tracestate="a=1",
    )
    await parts.add(new)

    await act(parts, new.id)

    task = await parts.store.find(new.id)
    assert task.status is status
    [delivery] = await Deliveries(parts.database).of(new.id)
    assert (delivery.number, delivery.event) == (1, status)
    assert (delivery.status, delivery.url) == (TaskStatus.QUEUED, "https://erp.example.com/hooks")
    row = await _row(parts, delivery.task_id)
    assert (row.operation, row.queue, row.delivery_of) == (DELIVERY.name, DELIVERY.queue, new.id)
    assert (row.principal, row.tenant, row.callbacks, row.counted) == ("ann", "red", None, None)
    assert (row.traceparent, row.tracestate) == (new.traceparent, "a=1")
    assert (row.published, row.max_attempts) == (False, DELIVERY.retry.max_attempts)
    assert abs(row.next_publish_at - utc_now()) < timedelta(minutes=1)
    assert row.arguments == {
        "url": "https://erp.example.com/hooks",
        "include": "nothing",
        "task": {
            "id": str(new.id),
            "operation": "create-client",
            "status": status.value,
            "version": task.version,
            "attempt": task.attempt,
            "labels": {"order": "7"},
            "createdAt": f"{task.created_at:%Y-%m-%dT%H:%M:%S.%f}Z",
            "finishedAt": f"{task.finished_at:%Y-%m-%dT%H:%M:%S.%f}Z",
        },
    }


async def _row(parts: Any, task_id: UUID) -> Any:
    async with parts.database.read() as connection:
        return (await connection.execute(select(tasks).where(tasks.c.id == task_id))).one()


async def test_ids_of_deliveries_are_of_their_time_and_no_two_are_equal(
    parts: Any, new_task: MakeTask
):
    before = await parts.add(new_task(callbacks=[callback(f"https://{n}") for n in range(200)]))
    await _succeed(parts, before)
    after = new_task().id

    deliveries = await Deliveries(parts.database).of(before)

    ids = {delivery.task_id for delivery in deliveries}
    assert len(ids) == 200
    assert {one.version for one in ids} == {7}
    # Servers of one machine share its clock, by different functions.
    assert all(_milliseconds(before) - 2 <= _milliseconds(one) for one in ids)
    assert all(_milliseconds(one) <= _milliseconds(after) + 2 for one in ids)


def _milliseconds(task_id: UUID) -> int:
    return task_id.int >> 80


async def test_only_those_are_told_who_want_to_hear_of_that_end(parts: Any, new_task: MakeTask):
    task_id = await parts.add(
        new_task(
            callbacks=[
                callback("https://a", events=["failed", "expired"]),
                callback("https://b", events=["succeeded"], include="response"),
                callback("https://c"),
            ]
        )
    )
    await _succeed(parts, task_id)
    told = await Deliveries(parts.database).of(task_id)
    assert sorted(delivery.url for delivery in told) == ["https://b", "https://c"]
    included = {
        row.arguments["url"]: row.arguments["include"]
        for row in [await _row(parts, delivery.task_id) for delivery in told]
    }
    assert included == {"https://b": "response", "https://c": "nothing"}


async def test_a_task_that_does_not_end_tells_nobody(parts: Any, new_task: MakeTask):
    task_id = await parts.add(new_task(callbacks=[callback()]))
    await _finish(parts, task_id, Outcome(TaskStatus.QUEUED, retry_after_seconds=0))
    assert await Deliveries(parts.database).of(task_id) == []
    other = await parts.add(new_task())
    await _succeed(parts, other)
    assert await Deliveries(parts.database).of(other) == []


async def test_an_end_after_a_retry_by_hand_is_told_as_well(parts: Any, new_task: MakeTask):
    task_id = await parts.add(new_task(callbacks=[callback()]))
    await _fail(parts, task_id)
    await parts.store.retry(task_id, more_attempts=1)
    await _succeed(parts, task_id)
    told = await Deliveries(parts.database).of(task_id)
    assert [delivery.event.value for delivery in told] == ["failed", "succeeded"]


async def test_a_rollback_takes_the_delivery_back_with_the_end(parts: Any, new_task: MakeTask):
    task_id = await parts.add(new_task(callbacks=[callback()]))
    async with parts.database.write() as connection:
        await connection.execute(
            update(tasks)
            .where(tasks.c.id == task_id)
            .values(status=TaskStatus.CANCELLED, finished_at=utc_now())
        )
        await connection.rollback()
    assert await Deliveries(parts.database).of(task_id) == []


async def test_what_was_told_is_told_again_under_its_own_id(parts: Any, new_task: MakeTask):
    deliveries = Deliveries(parts.database)
    task_id = await parts.add(
        new_task(callbacks=[callback()], principal="ann", traceparent="00-1", tracestate="a=1")
    )
    await _succeed(parts, task_id)
    [first] = await deliveries.of(task_id)
    assert first.delivery_id == str(first.task_id)

    second = await deliveries.add_again(task_id, number=1)
    third = await deliveries.add_again(task_id, number=2)

    assert [second, third] == (await deliveries.of(task_id))[1:]
    assert (second.number, third.number) == (2, 3)
    assert second.task_id != first.task_id
    assert second.delivery_id == third.delivery_id == first.delivery_id
    row = await _row(parts, third.task_id)
    assert (row.operation, row.principal, row.max_attempts) == ("callback", "ann", 10)
    assert (row.traceparent, row.tracestate) == ("00-1", "a=1")
    assert row.arguments["task"]["id"] == str(task_id)


@pytest.mark.parametrize("number", [-1, 0, 2])
async def test_there_is_no_delivery_of_another_number(parts: Any, new_task: MakeTask, number: int):
    task_id = await parts.add(new_task(callbacks=[callback()]))
    await _succeed(parts, task_id)
    with pytest.raises(DeliveryNotFoundError, match=f"has no delivery {number}"):
        await Deliveries(parts.database).add_again(task_id, number=number)
    with pytest.raises(DeliveryNotFoundError):
        await Deliveries(parts.database).add_again(uuid4(), number=1)
