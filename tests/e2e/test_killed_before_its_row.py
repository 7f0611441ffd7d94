"""An executor is killed when a large response is stored and its task's row does not say so yet."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from asynctestkit.calls import caller, create_client, finished_task, new_email
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.processes import Installation, Keep, start_all

BLOBS = "SELECT name, size FROM blobs ORDER BY name"
END_THOSE_WHO_WAIT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
ARE_OLD = "UPDATE blobs SET touched_at = touched_at - interval '1 hour'"


async def test_nothing_is_lost_and_what_was_stored_in_vain_is_deleted(
    install: Callable[..., Installation], keep: Keep, postgresql_url: str
):
    installation = install(lease_seconds=2, relay_interval_seconds=0.2, drain_seconds=1)
    proxy, executor = installation.proxy(), installation.executor()
    start_all(keep, proxy, executor, installation.demo_api())
    database = await asyncpg.connect(postgresql_url)

    async def stored(*attempts: int) -> list[str]:
        blobs = await database.fetch(BLOBS)
        names = [row["name"] for row in blobs]
        assert [name.rpartition(".")[0] for name in names] == [
            f"{task_id}/response-{attempt}" for attempt in attempts
        ]
        assert all(row["size"] for row in blobs)
        return names

    async with caller(proxy.url) as client:
        email = new_email("slow+1.huge+1")
        accepted = await create_client(client, email, prefer="respond-async")
        task_id = accepted.json()["id"]
        await eventually(lambda: is_running(database, task_id))
        async with held(postgresql_url, task_id):
            await eventually(lambda: stored(1))
            executor.kill()
            # What it has sent would be done by its connection all the same, once the row is free.
            await database.execute(END_THOSE_WHO_WAIT)
        keep(installation.executor("second")).start()

        task = await finished_task(client, task_id)

        assert (task["status"], task["attempt"]) == ("succeeded", 2)
        assert [one["outcome"] for one in task["attempts"]] == ["interrupted", "succeeded"]
        await stored(1, 2)
        whole = (await client.get(f"/tasks/{task_id}/response")).content
        assert len(whole) == 1_000_000
        await database.execute(ARE_OLD)
        keep(installation.proxy("third")).start()
        await eventually(lambda: stored(2))
        assert (await client.get(f"/tasks/{task_id}/response")).content == whole
    await database.close()


async def is_running(database: "asyncpg.Connection[Any]", task_id: str) -> None:
    status = await database.fetchval("SELECT status FROM tasks WHERE id = $1", UUID(task_id))
    assert status == "running"


@asynccontextmanager
async def held(url: str, task_id: str) -> AsyncGenerator[None]:
    """Nobody can write the task's row."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), connection.transaction():
            await connection.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", UUID(task_id))
            yield
    finally:
        await connection.close()
