"""Real executors are killed while an upstream works on jobs: none is begun a second time."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import httpx

from asynctestkit.calls import caller
from asynctestkit.eventually import eventually
from asynctestkit.processes import Installation, Keep
from asynctestkit.sql import execute

OPERATIONS = Path(__file__).parents[2] / "cli/asyncapiproxy/operations.yaml"
JOBS = 200
JOB_SECONDS = 15
KILLS = 4
STORED = "SELECT count(*) FROM tasks WHERE upstream_job IS NOT NULL"
ENDED = "SELECT status, attempt, interruptions, count(*) FROM tasks GROUP BY 1, 2, 3"


async def test_once_an_address_is_stored_no_executors_death_makes_the_call_again(
    install: Callable[..., Installation], keep: Keep, postgresql_url: str
):
    installation = install(
        lease_seconds=2, relay_interval_seconds=0.2, max_interruptions=50, drain_seconds=1
    )
    (installation.folder / "operations.yaml").write_text(OPERATIONS.read_text())
    proxy = installation.proxy()
    executors = [installation.executor(f"executor-{number}") for number in range(3)]
    services = [proxy, installation.demo_api(), *executors]
    for service in services:
        keep(service).launch()
    await asyncio.gather(*(asyncio.to_thread(each.wait_until_ready) for each in services))
    async with caller(proxy.url) as client:
        ids = await asyncio.gather(*(_started(client) for _ in range(JOBS)))

        async def all_are_stored() -> None:
            ((stored,),) = await asyncio.to_thread(execute, postgresql_url, STORED)
            assert stored == JOBS

        await eventually(all_are_stored)
        chance = random.Random(7)
        for _ in range(KILLS):
            victim = chance.choice(executors)
            victim.kill()
            victim.launch()
            await asyncio.to_thread(victim.wait_until_ready)

        async def all_have_ended() -> None:
            for status in ("running", "queued"):
                page = await client.get("/tasks", params={"status": status})
                assert page.json()["tasks"] == []

        await eventually(all_have_ended, timeout_seconds=120)
        ended = await asyncio.to_thread(execute, postgresql_url, ENDED)
    assert [tuple(row.values()) for row in ended] == [("succeeded", 1, 0, JOBS)]
    calls = _calls(installation.demo_data / "customers.db")
    assert sorted(calls) == sorted(ids)


async def _started(client: httpx.AsyncClient) -> str:
    headers = {"Prefer": "respond-async"}
    answer = await client.post("/reports", json={"seconds": JOB_SECONDS}, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def _calls(customers: Path) -> list[str]:
    """The key of each call that asked for a report."""
    connection = sqlite3.connect(f"file:{customers}?mode=ro", uri=True)
    try:
        return [key for (key,) in connection.execute("SELECT idempotency_key FROM report_calls")]
    finally:
        connection.close()
