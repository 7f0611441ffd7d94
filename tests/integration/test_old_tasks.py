"""Finished tasks are forgotten once they are older than they are kept, on both databases."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text

from asyncproxy.relay.purge import Purge
from asynctasks.instants import utc_now
from asynctasks.operations.kept_tasks import KeptTasks
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.operation import Operation
from asynctasks.statements.batches import Batches
from asynctasks.statements.conditions import tasks
from asynctasks.statements.old_tasks import BEGINNING, OldTasks
from asynctasks.statements.releases import HeldTasks
from asynctasks.statements.roster import Roster
from asynctasks.task import TaskStatus, new_task_id
from asynctestkit.eventually import PATIENCE_SECONDS

OpenParts = Callable[[str], AbstractAsyncContextManager[Any]]
DAY = 86_400
REST = KeptTasks(DAY, frozenset(), is_rest=True)


async def ended(
    parts: Any,
    *,
    days: float,
    count: int = 1,
    operation: str = "report",
    status: TaskStatus = TaskStatus.SUCCEEDED,
    apart_seconds: float = 1,
) -> list[UUID]:
    """So many that ended so long ago, the last a little later than the first."""
    oldest = utc_now() - timedelta(days=days)
    rows: list[dict[str, Any]] = [
        {
            "id": new_task_id(),
            "operation": operation,
            "queue": "clients",
            "arguments": {},
            "max_attempts": 1,
            "created_at": oldest,
            "status": status,
            "finished_at": oldest + timedelta(seconds=number * apart_seconds),
        }
        for number in range(count)
    ]
    async with parts.database.write() as connection:
        await connection.execute(insert(tasks), rows)
    return [row["id"] for row in rows]


async def kept_ids(parts: Any) -> set[UUID]:
    async with parts.database.read() as connection:
        return set((await connection.execute(select(tasks.c.id))).scalars())


def declared(**seconds: Any) -> LiveOperations:
    return LiveOperations(
        {
            name: Operation.model_validate(
                {"name": name, "route": f"POST /{name}", "handler": "a:b", "retentionSeconds": kept}
            )
            for name, kept in seconds.items()
        }
    )


def purge_of(parts: Any, operations: LiveOperations, *, batch: int = 1_000) -> Purge:
    return Purge(
        OldTasks(parts.database),
        Roster(parts.database),
        HeldTasks(parts.database, grace_seconds=60),
        Batches(parts.database),
        operations,
        retention_seconds=7 * DAY,
        batch=batch,
    )


async def pass_of(purge: Purge) -> int:
    """Its steps until there is no more to do at once."""
    steps = 1
    while await purge.tasks():
        steps += 1
    return steps


async def test_each_is_kept_as_its_operation_says_for_its_end_and_the_rest_as_the_setting(
    parts: Any,
):
    made = {
        (operation, status, days): (
            await ended(parts, operation=operation, status=TaskStatus(status), days=days)
        )[0]
        for operation in ("report", "scan", "removed")
        for status in ("succeeded", "failed", "cancelled", "expired")
        for days in (0.5, 2, 8, 31)
    }
    purge = purge_of(parts, declared(report={"succeeded": DAY, "failed": 30 * DAY}, scan=3 * DAY))
    await pass_of(purge)
    kept_days = {("report", "succeeded"): 1, ("report", "failed"): 30}
    kept_days |= {("scan", status): 3 for status in ("succeeded", "failed", "cancelled", "expired")}
    expected = {
        task_id
        for (operation, status, days), task_id in made.items()
        if days < kept_days.get((operation, status), 7)
    }
    assert await kept_ids(parts) == expected


async def test_what_is_kept_longer_is_passed_in_bounded_steps_and_not_read_again(parts: Any):
    longer = await ended(parts, days=20, count=50, status=TaskStatus.FAILED)
    await ended(parts, days=10, count=5)
    purge = purge_of(parts, declared(report={"failed": 30 * DAY}), batch=10)
    assert await pass_of(purge) == 6  # five windows of what is kept, one of what is old
    assert await kept_ids(parts) == set(longer)
    assert await pass_of(purge) == 1
    await ended(parts, days=8, count=3)
    assert await pass_of(purge) == 1
    assert await kept_ids(parts) == set(longer)


async def test_what_a_changed_file_no_longer_keeps_is_forgotten(parts: Any):
    kept = await ended(parts, days=20, count=25, status=TaskStatus.FAILED)
    operations = declared(report={"failed": 30 * DAY})
    purge = purge_of(parts, operations, batch=10)
    await pass_of(purge)
    assert await kept_ids(parts) == set(kept)
    await operations.change({})
    await pass_of(purge)
    assert await kept_ids(parts) == set()


async def test_of_many_that_ended_in_one_moment_a_step_forgets_as_many_as_it_may(parts: Any):
    await ended(parts, days=2, count=25, apart_seconds=0)
    old_tasks, after, counts = OldTasks(parts.database), BEGINNING, list[int]()
    for _ in range(4):
        purged = await old_tasks.purge(REST, limit=10, after=after)
        after = purged.after
        counts.append(purged.count)
    assert counts == [10, 10, 5, 0]


async def test_what_is_young_is_kept(parts: Any):
    (young,) = await ended(parts, days=0.9)
    await ended(parts, days=1.1)
    assert (await OldTasks(parts.database).purge(REST, limit=10)).count == 1
    assert await kept_ids(parts) == {young}


async def test_on_postgresql_what_another_holds_is_passed_over_and_forgotten_later(
    postgresql_url: str, open_parts: OpenParts
):
    async with open_parts(postgresql_url) as parts:
        ids = await ended(parts, days=2, count=4)
        old_tasks = OldTasks(parts.database)
        async with parts.database.write() as other, asyncio.timeout(PATIENCE_SECONDS):
            await other.execute(
                text("SELECT 1 FROM tasks WHERE id = ANY (:ids) FOR UPDATE"), {"ids": ids[:2]}
            )
            # A window of two, both held: the next one may not begin behind them.
            passed = await old_tasks.purge(REST, limit=2)
            assert (passed.count, passed.after, passed.has_more) == (0, BEGINNING, False)
            assert (await old_tasks.purge(REST, limit=4)).count == 2
        assert (await old_tasks.purge(REST, limit=4, after=passed.after)).count == 2
        assert await kept_ids(parts) == set()
