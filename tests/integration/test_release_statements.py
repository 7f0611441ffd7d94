"""What the statements of a release read, on tables small and large."""

import json
import re
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.statements.release_statements import ON_POSTGRESQL, ON_SQLITE
from asynctasks.statements.releases import HeldTasks
from asynctestkit.releasing import MakeTask, OpenParts, add, release, released

HELD_ROWS = """
INSERT INTO tasks (id, operation, queue, fair_key, arguments, max_attempts, created_at, status,
                   published, next_publish_at)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
       'create-client', 'clients', 'tenant ' || n % 20, '{}', 1, now(), 'queued',
       FALSE, now() - make_interval(secs => n::float / 1000)
FROM generate_series(1, $1::int) AS n
ON CONFLICT DO NOTHING
"""
IDS = ", ".join(f"'00000000-0000-7000-8000-{number:012d}'" for number in range(1, 11))
GROUPS = "ARRAY['clients'], ARRAY['create-client'], ARRAY[5]::smallint[], ARRAY['tenant 7']"
RELEASE = {
    "heads": "ARRAY['clients'], 10000",
    "counts": "ARRAY['create-client'], ARRAY['clients'], ''",
    "tasks": f"{GROUPS}, 10",
    "release": f"ARRAY[{IDS}]::uuid[], 30",
}


async def test_a_release_reads_as_much_of_many_held_tasks_as_of_few(postgresql_url: str):
    """Also by the plan that is kept from when there were few, for it may be kept for minutes."""
    connection = await asyncpg.connect(postgresql_url)
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for name in RELEASE:
            await connection.execute(f"PREPARE {name} AS {getattr(ON_POSTGRESQL, name)}")
        read: list[dict[str, int]] = []
        for rows in (300, 100_000):
            await connection.execute(HELD_ROWS, rows)
            for _ in range(2):  # before and after it is analysed
                read.append({name: await blocks_read(connection, name) for name in RELEASE})
                await connection.execute("ANALYZE tasks")
        few = read[1]
        for name, most in (("heads", 3), ("counts", 3), ("tasks", 3), ("release", 3)):
            assert max(one[name] for one in read[2:]) <= most * few[name], (name, read)
    finally:
        await connection.close()


async def blocks_read(connection: Any, name: str) -> int:
    """The blocks of the table and its indexes that the prepared statement looks into."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} ({RELEASE[name]})"
    transaction = connection.transaction()
    await transaction.start()
    try:
        (found,) = json.loads(await connection.fetchval(explain))
    finally:
        await transaction.rollback()
    assert "Seq Scan" not in json.dumps(found), found
    return found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"]


async def test_on_sqlite_no_release_reads_the_whole_table(
    open_parts: OpenParts, sqlite_url: str, new_task: MakeTask
):
    parameters: dict[str, tuple[Any, ...]] = {
        "heads": ('["clients"]', 10),
        "counts": ('["create-client"]', '["clients"]', ""),
        "tasks": ('[["clients", "create-client", 5, ""]]', 10),
        "release": ('["00"]', 30),
    }
    async with open_parts(sqlite_url) as parts, parts.database.read() as connection:
        for name, given in parameters.items():
            statement = f"EXPLAIN QUERY PLAN {getattr(ON_SQLITE, name)}"
            rows = await connection.exec_driver_sql(statement, given)
            plan = "\n".join(row[-1] for row in rows)
            assert not re.search(r"SCAN (tasks|first|following|held)(?! USING)", plan), plan
            if name in {"heads", "tasks"}:
                assert "ix_tasks_held" in plan, plan


async def test_a_connection_that_ends_amid_a_release_is_an_unavailable_database(
    open_parts: OpenParts, postgresql_url: str, new_task: MakeTask, monkeypatch: pytest.MonkeyPatch
):
    async with open_parts(postgresql_url) as parts, open_parts(postgresql_url) as other:
        (task_id,) = await add(parts, new_task)
        read = HeldTasks._with_tasks

        async def after_all_ended(*given: Any) -> Any:
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> $1"
            mine = "SELECT pg_backend_pid() AS pid"
            async with other.database.write() as connection:
                pid = await connection.scalar(text(mine))
                await connection.exec_driver_sql(f"{end} AND datname = current_database()", (pid,))
            return await read(*given)

        with monkeypatch.context() as patch:
            patch.setattr(HeldTasks, "_with_tasks", after_all_ended)
            with pytest.raises(DatabaseUnavailableError):
                await release(parts.database)
        assert await released(parts) == [task_id]
