"""Which executor may claim which task while operations files change, on both databases."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import select

from asyncexecutor.misses import Miss, Misses
from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.operations.operation import Operation
from asynctasks.statements.claims import Claimable
from asynctasks.statements.conditions import tasks
from asynctasks.statements.revisions import register_revisions
from asynctasks.statements.upkeep import Upkeep
from asynctasks.task import TaskStatus
from asynctestkit.releasing import release

MakeTask = Callable[..., NewTask]
BOOKKEEPING = {"published", "next_publish_at"}


def declared(handler: str, name: str = "create-client") -> Operation:
    return Operation(name=name, route=f"POST /{name}", handler=f"a:{handler}", queue="clients")


FIRST, SECOND = declared("first"), declared("second")


def of(operation: Operation, queue: str = "clients") -> Claimable:
    return Claimable(queue, {operation.name: operation.revision})


async def registered(parts: Any, *operations: Operation) -> None:
    """One after the other, as files change."""
    for operation in operations:
        await register_revisions(parts.database, {operation.name: operation})


async def row(parts: Any, task_id: UUID) -> dict[str, Any]:
    async with parts.database.read() as connection:
        found = await connection.execute(select(tasks).where(tasks.c.id == task_id))
        return dict(found.mappings().one())


async def added(parts: Any, new_task: MakeTask, *, age_seconds: float = 0, **values: Any) -> UUID:
    """A queued task with a message on its way, as one that a proxy accepted so long ago."""
    given: dict[str, Any] = {
        "published": True,
        "publish_in_seconds": 30.0,
        "created_at": utc_now() - timedelta(seconds=age_seconds),
    }
    return (await parts.store.add(new_task(**{**given, **values}))).id


@pytest.mark.parametrize(
    ("values", "is_claimed"),
    [
        ({"revision": SECOND.revision}, True),
        ({"revision": None}, True),  # accepted by an earlier version
        ({"revision": FIRST.revision}, False),  # before it has looked which is the older
        ({"revision": "unheard-of"}, False),
        ({"revision": "unheard-of", "age_seconds": 601}, True),
        ({"revision": "unheard-of", "age_seconds": 500}, False),
        ({"revision": SECOND.revision, "queue": "others"}, False),
        ({"revision": SECOND.revision, "operation": "other"}, False),
        ({"operation": "other", "age_seconds": 86_400}, False),
    ],
)
async def test_a_claim_looks_at_queue_operation_revision_and_age(
    parts: Any, new_task: MakeTask, values: dict[str, Any], is_claimed: bool
):
    task_id = await added(parts, new_task, **values)
    before = await row(parts, task_id)
    task = await parts.claims("one", claimable=of(SECOND)).claim(task_id)
    assert (task is not None) is is_claimed
    if task is None:
        assert await row(parts, task_id) == before
    else:
        assert task.attempt == 1


async def test_how_long_a_task_waits_for_who_knows_it_is_a_setting(parts: Any, new_task: MakeTask):
    task_id = await added(parts, new_task, revision="unheard-of")
    patient = parts.claims("one", claimable=of(FIRST), revision_wait_seconds=600)
    assert await patient.claim(task_id) is None
    hasty = parts.claims("two", claimable=of(FIRST), revision_wait_seconds=0)
    assert await hasty.claim(task_id) is not None


async def test_an_earlier_revision_is_run_and_a_later_one_given_back_uncounted(
    parts: Any, new_task: MakeTask
):
    await registered(parts, FIRST, SECOND, FIRST)
    older = await added(parts, new_task, revision=FIRST.revision)
    newer = await added(parts, new_task, revision=SECOND.revision)
    behind = parts.claims("behind", claimable=of(FIRST))
    ahead = parts.claims("ahead", claimable=of(SECOND))

    assert await ahead.claim(older) is None
    assert await Misses(parts.database, ahead).settle(older) is Miss.CLAIM_AGAIN
    claimed = await ahead.claim(older)
    assert (claimed.attempt, claimed.executor) == (1, "ahead")
    # From then on it costs nothing more.
    assert await ahead.claim(await added(parts, new_task, revision=FIRST.revision)) is not None

    before = await row(parts, newer)
    assert await behind.claim(newer) is None
    assert await Misses(parts.database, behind).settle(newer) is Miss.FORGET
    after = await row(parts, newer)
    assert {name for name, value in after.items() if value != before[name]} == BOOKKEEPING
    assert after["published"] is False
    assert 1 < (after["next_publish_at"] - utc_now()).total_seconds() < 4
    assert (await ahead.claim(newer)).attempt == 1


async def test_a_file_taken_over_between_claim_and_look_loses_no_message(
    parts: Any, new_task: MakeTask
):
    await registered(parts, FIRST, SECOND)
    task_id = await added(parts, new_task, revision=SECOND.revision)
    claims = parts.claims("one", claimable=of(FIRST))
    assert await claims.claim(task_id) is None
    claims.claimable = of(SECOND)
    before = await row(parts, task_id)
    assert await Misses(parts.database, claims).settle(task_id) is Miss.CLAIM_AGAIN
    assert await row(parts, task_id) == before
    assert await claims.claim(task_id) is not None


@pytest.mark.parametrize(
    ("values", "pause"),
    [
        ({"operation": "other"}, 2.0),
        ({"operation": "other", "age_seconds": 3_600}, 30.0),
        ({"revision": "unheard-of"}, 2.0),
        ({"queue": "others"}, 0.0),
    ],
)
async def test_what_is_not_this_executors_goes_back_to_the_relay(
    parts: Any, new_task: MakeTask, values: dict[str, Any], pause: float
):
    await registered(parts, FIRST)
    task_id = await added(parts, new_task, **values)
    claims = parts.claims("one", claimable=of(FIRST))
    assert await claims.claim(task_id) is None
    assert await Misses(parts.database, claims).settle(task_id) is Miss.FORGET
    after = await row(parts, task_id)
    assert (after["status"], after["attempt"], after["version"]) == (TaskStatus.QUEUED, 0, 1)
    assert after["published"] is False
    assert abs((after["next_publish_at"] - utc_now()).total_seconds() - pause) < 1.5
    if not pause:
        (due,) = await release(parts.database, queues=("others",))
        assert (due.id, due.queue) == (task_id, "others")


@pytest.mark.parametrize(
    ("operation", "lacking"),
    [("create-client", "an earlier revision of their operation"), ("other", "no such operation")],
)
async def test_the_log_says_once_what_the_file_has_not(
    parts: Any, new_task: MakeTask, operation: str, lacking: str
):
    await registered(parts, FIRST, SECOND)
    claims = parts.claims("one", claimable=of(FIRST))
    misses = Misses(parts.database, claims)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            task_id = await added(parts, new_task, operation=operation, revision=SECOND.revision)
            await misses.settle(task_id)
    (line,) = logs
    assert line["event"] == f"tasks put back: this executor's operations file has {lacking}"
    assert line["revision"] == SECOND.revision
    assert line["own_revision"] == (FIRST.revision if operation == "create-client" else None)


async def test_what_has_ended_or_waits_for_its_time_is_left_alone(parts: Any, new_task: MakeTask):
    await registered(parts, FIRST)
    claims = parts.claims("one", claimable=of(FIRST))
    misses = Misses(parts.database, claims)
    cancelled = await added(parts, new_task, operation="other")
    await parts.store.cancel(cancelled)
    delayed = await added(parts, new_task, operation="other", delay_seconds=60)
    overdue = await added(
        parts, new_task, operation="other", deadline=utc_now() - timedelta(seconds=1)
    )
    for task_id in (cancelled, delayed, overdue):
        before = await row(parts, task_id)
        assert await misses.settle(task_id) is Miss.FORGET
        assert await row(parts, task_id) == before
    await parts.store.delete(cancelled)
    assert await misses.settle(cancelled) is Miss.NO_SUCH_TASK


async def test_tasks_that_were_given_back_still_count_as_waiting(parts: Any, new_task: MakeTask):
    await registered(parts, FIRST)
    given_back = await added(parts, new_task, operation="other")
    await parts.store.add(new_task(operation="delayed", delay_seconds=20, publish_in_seconds=20))
    claims = parts.claims("one", claimable=of(FIRST))
    await Misses(parts.database, claims).settle(given_back)
    backlog = (await Upkeep(parts.database).backlogs(seconds=2))["clients"]
    assert (backlog.queued, backlog.put_back) == ({"other": 1}, {"other": 1})


async def test_a_task_keeps_the_revision_by_which_it_was_accepted(parts: Any, new_task: MakeTask):
    task_id = await added(parts, new_task, revision="abc")
    assert (await parts.store.find(task_id)).revision == "abc"
