"""Demand: what waits and runs on a queue, and what it costs to know."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from asynctasks.database import Database
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.conditions import tasks
from asynctasks.statements.demand import Demand, DemandReader, OperationDemand
from asynctasks.task import TaskStatus
from asynctasks.upstream_job import UpstreamJob
from asynctestkit.ports import free_port

MakeTask = Callable[..., NewTask]
SUCCEEDED = Outcome(TaskStatus.SUCCEEDED, response=Response(200, "", b""))


async def demand(parts: Any, *queues: str, seconds: float = 60) -> dict[str, Demand]:
    return await DemandReader(parts.database).read(queues, seconds=seconds)


async def set_row(parts: Any, task_id: Any, **values: Any) -> None:
    async with parts.database.write() as connection:
        await connection.execute(update(tasks).where(tasks.c.id == task_id).values(**values))


async def test_an_empty_queue_has_no_demand(parts: Any):
    assert await demand(parts, "clients", "orders") == {"clients": Demand(), "orders": Demand()}
    assert await demand(parts) == {}


async def test_what_is_due_counts_whether_published_or_not_and_what_is_delayed_does_not(
    parts: Any, new_task: MakeTask
):
    await parts.store.add(new_task(published=True, publish_in_seconds=60))
    await parts.store.add(new_task(published=True, publish_in_seconds=0))
    await parts.store.add(new_task(published=False, publish_in_seconds=0))
    await parts.store.add(new_task(delay_seconds=60, publish_in_seconds=60))
    await parts.store.add(new_task(queue="orders", published=True, publish_in_seconds=60))
    await parts.store.add(new_task(queue="ignored"))
    found = await demand(parts, "clients", "orders")
    assert {queue: one.queued for queue, one in found.items()} == {"clients": 3, "orders": 1}
    assert {one.running for one in found.values()} == {0}


async def test_the_oldest_task_that_waits_is_aged_from_when_it_could_have_begun(
    parts: Any, new_task: MakeTask
):
    def ago(seconds: float) -> datetime:
        return utc_now() - timedelta(seconds=seconds)

    async def oldest() -> float:
        return (await demand(parts, "clients"))["clients"].oldest_queued_seconds

    new, due = new_task(published=True, publish_in_seconds=60), new_task(publish_in_seconds=0)
    await parts.store.add(new)
    await set_row(parts, new.id, created_at=ago(30))
    assert await oldest() == pytest.approx(30, abs=5)
    await parts.store.add(due)
    await set_row(parts, due.id, created_at=ago(500), attempt_started_at=ago(300))
    assert await oldest() == pytest.approx(300, abs=5)
    await set_row(parts, due.id, run_after=ago(100))
    assert await oldest() == pytest.approx(100, abs=5)


async def test_a_task_counts_where_it_stands(parts: Any, new_task: MakeTask):
    claims, new = parts.claims("one"), new_task(published=True, publish_in_seconds=60)
    await parts.store.add(new)
    claimed = await claims.claim(new.id)
    running = (await demand(parts, "clients"))["clients"]
    assert (running.queued, running.running, running.finished) == (0, 1, 0)
    await claims.finish(claimed, Outcome(TaskStatus.QUEUED, retry_after_seconds=60))
    assert (await demand(parts, "clients"))["clients"] == Demand()


async def test_what_waits_is_told_by_operation_and_by_what_it_waits_for(
    parts: Any, new_task: MakeTask
):
    job = UpstreamJob(url="http://u/jobs/1", started_at="2026-01-01T00:00:00+00:00")

    async def with_job(*, poll_in_seconds: float) -> None:
        claims, task_id = parts.claims("one"), await parts.add(new_task())
        task = await claims.claim(task_id)
        goes_on = Outcome(TaskStatus.QUEUED, retry_after_seconds=poll_in_seconds, upstream_job=job)
        await claims.finish(task, goes_on)

    await parts.add(new_task())
    for _ in range(2):
        await parts.add(new_task(published=True, publish_in_seconds=60))
    await parts.add(new_task(operation="other"))
    await with_job(poll_in_seconds=0)
    await with_job(poll_in_seconds=60)
    await parts.claims("one").claim(await parts.add(new_task()))
    found = (await demand(parts, "clients"))["clients"]
    assert found.operations == {
        "create-client": OperationDemand(held=1, published=2, polls=1, running=1, jobs=1),
        "other": OperationDemand(held=1),
    }
    assert (found.queued, found.held, found.running) == (5, 2, 1)
    assert found.operations["create-client"].queued == 4
    assert found.operations["create-client"].in_hand == 5


async def test_what_has_finished_is_counted_and_the_attempts_that_ended_it_are_timed(
    parts: Any, new_task: MakeTask
):
    claims = parts.claims("one")
    for service_seconds in (2, 4):
        new = new_task()
        await parts.store.add(new)
        await claims.finish(await claims.claim(new.id), SUCCEEDED)
        finished_at = (await parts.store.find(new.id)).finished_at
        started_at = finished_at - timedelta(seconds=service_seconds)
        await set_row(parts, new.id, attempt_started_at=started_at)
    never_run, long_ago = new_task(), new_task()
    await parts.store.add(never_run)
    await parts.store.cancel(never_run.id)
    await parts.store.add(long_ago)
    await claims.finish(await claims.claim(long_ago.id), SUCCEEDED)
    await set_row(parts, long_ago.id, finished_at=utc_now() - timedelta(seconds=120))
    found = (await demand(parts, "clients"))["clients"]
    assert found.finished == 3
    assert found.mean_service_seconds == pytest.approx(3, abs=0.01)


async def test_without_its_database_the_demand_is_unknown():
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    try:
        with pytest.raises(DatabaseUnavailableError):
            await DemandReader(database).read(["clients"], seconds=10)
    finally:
        await database.close()


async def test_the_cost_does_not_grow_with_what_is_kept(postgresql_url: str):
    # One connection, because each counts its scans for itself before it tells the server.
    database = Database(postgresql_url, connections=1)
    try:
        async with database.write() as connection:
            await connection.execute(text(_FILL))
        async with database.write() as connection:
            await connection.execute(text("ANALYZE tasks"))
        before = await _sequential_scans(database)
        found = await DemandReader(database).read(["clients"], seconds=10)
        assert (found["clients"].queued, found["clients"].running) == (1_000, 50)
        assert await _sequential_scans(database) == before
    finally:
        await database.close()


async def _sequential_scans(database: Database) -> int:
    async with database.write() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    async with database.read() as connection:
        return (
            await connection.execute(
                text("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'tasks'")
            )
        ).scalar_one()


_FILL = """
INSERT INTO tasks (
    id, operation, queue, arguments, status, max_attempts, created_at, finished_at, published,
    next_publish_at, attempt_started_at
)
SELECT gen_random_uuid(), 'create-client', 'clients', '{}',
    CASE WHEN n <= 50 THEN 'running' WHEN n <= 1050 THEN 'queued' ELSE 'succeeded' END,
    1, now() - interval '2 days',
    CASE WHEN n > 1050 THEN now() - interval '1 day' END,
    n BETWEEN 51 AND 1050,
    CASE WHEN n BETWEEN 51 AND 1050 THEN now() END,
    now() - interval '1 day'
FROM generate_series(1, 20000) AS n
"""
