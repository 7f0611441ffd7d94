"""A real executor process that is told to drain, as its probes and its roster show it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import httpx
import pytest

from asynctasks.database import Database
from asynctasks.statements.roster import Executor, Roster
from asynctestkit.calls import caller, create_client, finished_task, new_email
from asynctestkit.eventually import eventually
from asynctestkit.ports import free_port
from asynctestkit.processes import Installation, Keep


@pytest.fixture
def installation(install: Callable[..., Installation]) -> Installation:
    return install(roster_seconds=0.1, pod_name="executor-abc")


@pytest.fixture
async def roster(postgresql_url: str) -> AsyncGenerator[Roster]:
    database = Database(postgresql_url)
    yield Roster(database)
    await database.close()


async def answered(port: int, path: str, expected: str) -> None:
    """Return when the probe says so: "ok" with 200, anything else with 503."""

    async def says() -> None:
        async with caller(f"http://127.0.0.1:{port}") as client:
            answer = None
            with suppress(httpx.TransportError):
                answer = await client.get(path)
        assert answer is not None
        assert (answer.status_code, answer.text) == (200 if expected == "ok" else 503, expected)

    await eventually(says)


async def only(roster: Roster) -> Executor:
    async def reported() -> Executor:
        (executor,) = await roster.of_queue("clients")
        return executor

    return await eventually(reported)


async def test_it_is_unready_while_it_drains_comes_back_and_ends_at_once(
    installation: Installation, roster: Roster, keep: Keep
):
    port = free_port()
    proxy, executor = installation.proxy(), installation.executor(health_port=port)
    services = (proxy, executor, installation.demo_api())
    for service in services:
        keep(service).launch()
    await asyncio.gather(*(asyncio.to_thread(each.wait_until_ready) for each in services))
    await answered(port, "/readyz", "ok")
    one = await only(roster)
    assert (one.pod, one.draining) == ("executor-abc", False)

    async with caller(proxy.url) as client:
        accepted = await create_client(client, new_email("slow+2"), prefer="respond-async")

        async def runs() -> None:
            assert (await only(roster)).running == 1

        await eventually(runs)
        await roster.set_draining([one.name], True)
        await answered(port, "/readyz", "draining")
        await answered(port, "/healthz", "ok")
        task = await finished_task(client, accepted.headers["task-id"])
        assert (task["status"], task["attempt"]) == ("succeeded", 1)

        async def has_drained() -> None:
            assert (await only(roster)).has_drained

        await eventually(has_drained)
        await roster.set_draining([one.name], False)
        await answered(port, "/readyz", "ok")
        assert (await create_client(client, new_email())).status_code == 201

    async with caller(f"http://127.0.0.1:{port}") as client:
        metrics = (await client.get("/metrics")).text
    counted = 'asyncapiproxy_attempts_total{operation="create-client",outcome="succeeded"} 2.0'
    assert counted in metrics
    assert "asyncapiproxy_requests_total" not in metrics

    await roster.set_draining([one.name], True)
    await answered(port, "/readyz", "draining")
    asked_at = time.monotonic()
    assert await asyncio.to_thread(executor.stop) == 0
    assert time.monotonic() - asked_at < 15
    assert await roster.of_queue("clients") == []
    assert executor.faults == []


async def test_without_a_broker_it_lives_and_is_not_ready(installation: Installation, keep: Keep):
    port = free_port()
    executor = keep(
        installation.executor(
            health_port=port, broker_url=f"amqp://guest:guest@127.0.0.1:{free_port()}/"
        )
    ).launch()
    await answered(port, "/readyz", "the broker is not connected")
    await answered(port, "/healthz", "ok")
    assert await asyncio.to_thread(executor.stop) == 0
