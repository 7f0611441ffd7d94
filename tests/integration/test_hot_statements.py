"""What the statements beneath SQLAlchemy promise on PostgreSQL beside the store's contract."""

import asyncio
import re
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from asynctasks.database import Database
from asynctasks.errors import DatabaseUnavailableError, StatementRefusedError
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.hot_claims import claim, take_polls
from asynctasks.statements.hot_statements import ADD, ADD_WITH_PLACES, FINISH, GO_ON
from asynctasks.task import TaskStatus
from asynctasks.upstream_job import UpstreamJob
from asynctestkit.eventually import eventually

STATEMENTS = {
    "add": ADD,
    "add_with_places": ADD_WITH_PLACES,
    "claim": claim(ClaimedTask.__dataclass_fields__),
    "take_polls": take_polls(ClaimedTask.__dataclass_fields__),
    "finish": FINISH,
    "go_on": GO_ON,
}
JOB = UpstreamJob(url="http://upstream/jobs/1", started_at="2030-01-01T00:00:00Z", polls=1)
GOES_ON = Outcome(TaskStatus.QUEUED, retry_after_seconds=5, upstream_job=JOB)
MANY_ROWS = """
INSERT INTO tasks (id, operation, queue, arguments, max_attempts, created_at, status, finished_at)
SELECT gen_random_uuid(), 'create-client', 'clients', '{}', 1, now(), 'succeeded', now()
FROM generate_series(1, 100000);
INSERT INTO tasks (id, operation, queue, arguments, max_attempts, created_at, status, upstream_job,
                   next_publish_at)
SELECT gen_random_uuid(), 'create-client', 'clients', '{}', 1, now(), 'queued', '{}',
       now() + make_interval(secs => n / 300.0)
FROM generate_series(1, 10000) AS n
"""


@pytest.fixture
async def database(postgresql_url: str) -> AsyncIterator[Database]:
    """With a single connection for callers."""
    database = Database(postgresql_url, connections=1, statement_seconds=3)
    yield database
    await database.close()


@pytest.mark.parametrize("rows", ["none", "many"])
async def test_whatever_the_values_rows_are_found_by_an_index(postgresql_url: str, rows: str):
    """Also by the plan that is kept from when the table was new, for it may be kept for minutes."""
    connection = await asyncpg.connect(postgresql_url)
    try:
        if rows == "many":
            await connection.execute(MANY_ROWS)
            await connection.execute("ANALYZE tasks")
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for name, statement in STATEMENTS.items():
            await connection.execute(f"PREPARE {name} AS {statement}")
            parameters = ["NULL"] * max(map(int, re.findall(r"\$(\d+)", statement)))
            lines = await connection.fetch(f"EXPLAIN EXECUTE {name} ({', '.join(parameters)})")
            plan = "\n".join(line[0] for line in lines)
            assert "Seq Scan" not in plan, plan
            by_id = {"add": 0, "add_with_places": 0, "take_polls": 1}.get(name, 2)
            assert plan.count("Index Cond: (id = ") == by_id, plan
            assert ("ix_tasks_due_polls" in plan) is (name == "take_polls"), plan
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "outcome",
    [Outcome(TaskStatus.QUEUED, retry_after_seconds=5, is_given_back=True), GOES_ON],
    ids=["retry", "job"],
)
@pytest.mark.parametrize(
    ("changes", "recorded"),
    [
        ("cancel_requested = TRUE", TaskStatus.CANCELLED),
        ("attempt = attempt + 1", None),
        ("executor = 'another'", None),
    ],
)
async def test_an_outcome_that_waited_for_a_lock_goes_by_what_the_row_has_become(
    parts: Any,
    new_task: Callable[..., NewTask],
    changes: str,
    recorded: TaskStatus | None,
    outcome: Outcome,
):
    claims = parts.claims("one")
    task = await claims.claim(await parts.add(new_task()))
    async with parts.database.write() as connection:
        await connection.execute(text(f"UPDATE tasks SET {changes}"))
        finishing = asyncio.create_task(claims.finish(task, outcome))
        await asyncio.sleep(0.2)
        assert not finishing.done()
    told = await finishing
    assert (told and told.status) == recorded
    found = await parts.store.find(task.id)
    if recorded is None:
        assert (found.status, found.drains, found.error) == (TaskStatus.RUNNING, 0, None)
    else:
        assert (found.status, found.drains, found.run_after) == (recorded, 0, None)
        assert found.error == told.error.to_json()
        assert found.upstream_job == (outcome.upstream_job and JOB.to_json())
        assert found.finished_at is not None


@pytest.mark.parametrize("write", ["claim", "finish", "go on"])
async def test_rows_are_locked_in_the_order_of_their_ids(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    postgresql_url: str,
    new_task: Callable[..., NewTask],
    write: str,
):
    """In one order everywhere, nobody waits in a circle."""
    locked = text("SELECT id FROM tasks WHERE id = :id FOR UPDATE NOWAIT")
    async with open_parts(postgresql_url) as parts:
        claims = parts.claims("one")
        ids = sorted([await parts.add(new_task()) for _ in range(30)])
        calls = {task_id: partial(claims.claim, task_id) for task_id in ids}
        if write != "claim":
            outcome = Outcome(TaskStatus.SUCCEEDED) if write == "finish" else GOES_ON
            tasks = [await claims.claim(task_id) for task_id in ids]
            calls = {task.id: partial(claims.finish, task, outcome) for task in tasks}
        async with parts.database.write() as connection:
            await connection.execute(locked, {"id": ids[0]})
            writing = asyncio.gather(*(calls[task_id]() for task_id in reversed(ids)))
            await asyncio.sleep(0.3)
            for task_id in ids[1:]:
                async with parts.database.write() as other:
                    await other.execute(locked, {"id": task_id})
        assert None not in await writing


async def test_a_refusal_repeats_no_callers_data(database: Database):
    for statement, value in (("SELECT $1::int", "Ann"), ("SELECT $1::text::int", "Ann")):
        with pytest.raises(StatementRefusedError, match="22") as caught:
            await database.fetch(statement, value)
        assert "Ann" not in "".join(traceback.format_exception(caught.value))
    assert (await database.fetch("SELECT 1 AS one"))[0]["one"] == 1


async def test_a_refusal_keeps_the_connection(database: Database):
    (before,) = await database.fetch("SELECT pg_backend_pid()")
    with pytest.raises(StatementRefusedError):
        await database.fetch("SELECT 1 / 0")
    assert await database.fetch("SELECT pg_backend_pid()") == [before]


async def test_a_statement_that_is_cancelled_takes_its_connection_along(database: Database):
    (before,) = await database.fetch("SELECT pg_backend_pid() AS pid")
    waiting = asyncio.create_task(database.fetch("SELECT pg_sleep(2)"))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (after,) = await database.fetch("SELECT pg_backend_pid() AS pid")
    assert after != before

    async def is_gone() -> None:
        alive = "SELECT 1 FROM pg_stat_activity WHERE pid = $1"
        assert await database.fetch(alive, before["pid"]) == []

    await eventually(is_gone)


async def test_a_statement_that_takes_too_long_is_an_unavailable_database(database: Database):
    with pytest.raises(DatabaseUnavailableError):
        await database.fetch("SELECT pg_sleep(30)")
    assert len(await database.fetch("SELECT 1")) == 1


async def test_a_connection_that_the_server_ends_is_an_unavailable_database(database: Database):
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError):
            await database.fetch("SELECT pg_terminate_backend(pg_backend_pid())")
    assert len(await database.fetch("SELECT 1")) == 1
