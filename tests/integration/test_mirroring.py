"""Mirroring: which tasks have to be shown, and what it costs to know."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements import mirroring as statements
from asynctasks.statements.conditions import tasks
from asynctasks.statements.mirroring import MirroredTask, Mirroring
from asynctasks.task import TaskStatus, new_task_id

MakeTask = Callable[..., NewTask]
SUCCEEDED = Outcome(TaskStatus.SUCCEEDED, response=Response(200, "", b""))
FAILED = Outcome(TaskStatus.FAILED, response=Response(422, "", b""))


@pytest.fixture
def mirroring(parts: Any) -> Mirroring:
    return Mirroring(parts.database)


def ids(rows: list[MirroredTask]) -> list[UUID]:
    return [row.id for row in rows]


async def add(parts: Any, new: NewTask, *, age_seconds: float = 60) -> UUID:
    await parts.store.add(new)
    async with parts.database.write() as connection:
        await connection.execute(
            update(tasks)
            .where(tasks.c.id == new.id)
            .values(created_at=utc_now() - timedelta(seconds=age_seconds))
        )
    return new.id


async def run(parts: Any, task_id: UUID, outcome: Outcome | None = None) -> None:
    claims = parts.claims("one")
    claimed = await claims.claim(task_id)
    if outcome is not None:
        await claims.finish(claimed, outcome)


async def test_a_task_that_succeeds_at_once_is_never_shown(
    parts: Any, mirroring: Mirroring, new_task: MakeTask
):
    task_id = await add(parts, new_task())
    await run(parts, task_id, SUCCEEDED)
    assert await mirroring.changed(limit=10) == []
    assert await mirroring.unsuccessful(limit=10) == []
    assert await mirroring.slow(min_age_seconds=0, limit=10) == []
    assert await mirroring.count_stale(limit=10) == 0


async def test_slow_are_all_that_live_long_enough_and_have_no_object(
    parts: Any, mirroring: Mirroring, new_task: MakeTask
):
    running = await add(parts, new_task())
    await run(parts, running)
    published = await add(parts, new_task(published=True, publish_in_seconds=60))
    waiting = await add(parts, new_task(delay_seconds=60, publish_in_seconds=60))
    await add(parts, new_task(), age_seconds=1)
    shown = await add(parts, new_task())
    await mirroring.mark({shown: 1})
    slow = await mirroring.slow(min_age_seconds=10, limit=10)
    assert set(ids(slow)) == {running, published, waiting}
    assert ids(await mirroring.slow(min_age_seconds=10, limit=1)) == [running]
    assert await mirroring.slow(min_age_seconds=100, limit=10) == []


async def test_a_shown_task_that_changes_has_to_be_shown_anew_until_it_is_marked(
    parts: Any, mirroring: Mirroring, new_task: MakeTask
):
    task_id = await add(parts, new_task())
    await mirroring.mark({task_id: 1})
    assert await mirroring.changed(limit=10) == []
    await run(parts, task_id, SUCCEEDED)
    (row,) = await mirroring.changed(limit=10)
    assert (row.id, row.status, row.version) == (task_id, TaskStatus.SUCCEEDED, 3)
    await mirroring.mark({task_id: row.version})
    await mirroring.mark({task_id: 1})
    assert await mirroring.changed(limit=10) == []
    assert (await parts.store.find(task_id)).version == row.version


async def test_of_the_changed_the_finished_come_first(
    parts: Any, mirroring: Mirroring, new_task: MakeTask
):
    first, second = [await add(parts, new_task()) for _ in range(2)]
    await mirroring.mark({first: 1, second: 1})
    await run(parts, first)
    await run(parts, second, SUCCEEDED)
    assert ids(await mirroring.changed(limit=10)) == [second, first]


async def test_failures_are_shown_though_nobody_saw_them_run_the_newest_first(
    parts: Any, mirroring: Mirroring, new_task: MakeTask
):
    failed, cancelled = [await add(parts, new_task()) for _ in range(2)]
    await run(parts, failed, FAILED)
    await parts.store.cancel(cancelled)
    assert ids(await mirroring.unsuccessful(limit=10)) == [cancelled, failed]
    assert await mirroring.changed(limit=10) == []
    assert await mirroring.count_stale(limit=10) == 2
    assert await mirroring.count_stale(limit=1) == 1


async def test_what_was_marked_can_be_shown_again(
    parts: Any, mirroring: Mirroring, new_task: MakeTask
):
    task_id = await add(parts, new_task())
    await run(parts, task_id, SUCCEEDED)
    await mirroring.mark({task_id: 3})
    await mirroring.show_again([task_id])
    assert ids(await mirroring.changed(limit=10)) == [task_id]
    queued = await add(parts, new_task())
    await mirroring.mark({queued: 1})
    assert await mirroring.live_mirrored(limit=10) == [queued]
    await mirroring.show_again([queued])
    assert ids(await mirroring.slow(min_age_seconds=10, limit=10)) == [queued]
    await mirroring.mark({queued: 1})
    await mirroring.unmark([queued])
    assert await mirroring.live_mirrored(limit=10) == []
    assert ids(await mirroring.slow(min_age_seconds=10, limit=10)) == [queued]


async def test_tasks_that_objects_asked_for_are_paged_by_them_while_they_live(
    parts: Any, mirroring: Mirroring, new_task: MakeTask
):
    one = await add(parts, new_task(asynctask="default/a/1"))
    two = await add(parts, new_task(asynctask="default/b/2"))
    over = await add(parts, new_task(asynctask="default/c/3"))
    await add(parts, new_task())
    await parts.store.cancel(over)
    (first,) = await mirroring.live_of_objects(after="", limit=1)
    assert (first.id, first.asynctask) == (one, "default/a/1")
    assert ids(await mirroring.live_of_objects(after="default/a/1", limit=10)) == [two]


async def test_ids_find_their_tasks(parts: Any, mirroring: Mirroring, new_task: MakeTask):
    task_id = await add(parts, new_task())
    assert ids(await mirroring.of_ids([task_id, new_task_id()])) == [task_id]
    assert await mirroring.of_ids([]) == []


async def test_the_cost_does_not_grow_with_what_is_kept(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]], postgresql_url: str
):
    """No part reads the table from end to end, and none reads more rows than are live or stale."""
    async with open_parts(postgresql_url) as parts:
        for first in range(1, 200_000, 40_000):
            # In parts, since no statement may take long.
            async with parts.database.write() as connection:
                await connection.execute(text(_FILL), {"first": first, "last": first + 39_999})
        async with parts.database.write() as connection:
            await connection.execute(text("ANALYZE tasks"))
        for name in ("_CHANGED", "_UNSUCCESSFUL", "_SLOW", "_MIRRORED", "_OF_OBJECTS"):
            plan = await _plan(parts, getattr(statements, name))
            assert "Seq Scan" not in plan, (name, plan)
            assert "tasks_pkey" not in plan, (name, plan)
        assert "Seq Scan" not in await _plan(parts, statements._COUNT_STALE)


async def test_sqlite_uses_the_indexes_too(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]], sqlite_url: str
):
    async with open_parts(sqlite_url) as parts:
        for name in ("_CHANGED", "_UNSUCCESSFUL", "_SLOW", "_MIRRORED", "_OF_OBJECTS"):
            plan = await _plan(parts, getattr(statements, name), "EXPLAIN QUERY PLAN")
            assert "SCAN tasks\n" not in plan, (name, plan)


async def _plan(parts: Any, statement: Any, explain: str = "EXPLAIN (ANALYZE)") -> str:
    compiled = statement.params(max_rows=200, age_seconds=-12.0, after="").compile(
        dialect=parts.database._readers.dialect, compile_kwargs={"literal_binds": True}
    )
    async with parts.database.read() as connection:
        rows = await connection.exec_driver_sql(f"{explain} {compiled}")
        return "\n".join(str(row[-1]) for row in rows) + "\n"


_FILL = """
INSERT INTO tasks (
    id, operation, queue, arguments, status, max_attempts, created_at, finished_at, published,
    next_publish_at, mirrored_version, asynctask
)
SELECT gen_random_uuid(), 'create-client', 'clients', '{}',
    CASE WHEN n <= 50 THEN 'running' WHEN n <= 150 THEN 'queued'
        WHEN n % 50 = 0 THEN 'failed' ELSE 'succeeded' END,
    1, now() - interval '2 days',
    CASE WHEN n > 150 THEN now() - interval '1 day' END,
    n BETWEEN 51 AND 100,
    CASE WHEN n BETWEEN 51 AND 150 THEN now() END,
    CASE WHEN n > 150 AND n % 50 = 0 THEN 1 ELSE 0 END,
    CASE WHEN n % 1000 = 0 THEN 'default/' || n END
FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
"""
