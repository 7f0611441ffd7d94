"""An executor that is told to drain, and to come back, while callers go on."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from asynctasks.statements.roster import Executor, Roster
from asynctestkit.calls import finished_task, get_task
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.inside import Inside, accepted, held, inside
from asynctestkit.ready import ready


@pytest.fixture
async def installation(servers: dict[str, Any]) -> AsyncGenerator[Inside]:
    async with inside(**servers, roster_seconds=0.05, relay_interval_seconds=0.05) as installation:
        yield installation


async def known(roster: Roster, count: int) -> list[Executor]:
    async def reported() -> list[Executor]:
        found = await roster.of_queue("clients")
        assert len(found) == count
        return found

    return await eventually(reported)


async def drained(roster: Roster, name: str, *, running: int = 0) -> None:
    async def has_left() -> None:
        (one,) = [one for one in await roster.of_queue("clients") if one.name == name]
        assert (one.consuming, one.running) == (False, running)
        assert one.has_drained is (running == 0)

    await eventually(has_left)


async def running(client: httpx.AsyncClient, task_id: str) -> None:
    async def is_running() -> None:
        assert (await get_task(client, task_id))["status"] == "running"

    await eventually(is_running)


async def run_by(client: httpx.AsyncClient, task_id: str) -> str:
    """The executor that ran it, by one attempt that succeeded."""
    task = await finished_task(client, task_id)
    assert (task["status"], task["attempt"]) == ("succeeded", 1)
    return task["attempts"][0]["executor"]


async def test_it_finishes_what_it_has_takes_nothing_more_and_comes_back(installation: Inside):
    proxy = await installation.proxy()
    client = await installation.client(proxy)
    roster = Roster(proxy.connections.database)
    await installation.executor()
    (one,) = await known(roster, 1)
    assert (one.pod, one.concurrency, one.consuming) == (None, 100, True)
    may_end = asyncio.Event()
    installation.upstream.will(held(may_end))
    in_hand = await accepted(client)
    await running(client, in_hand)

    await roster.set_draining([one.name], True)
    await drained(roster, one.name, running=1)
    left = await accepted(client)
    await ready(proxy.connections.broker, 1)
    assert (await get_task(client, left))["status"] == "queued"

    await installation.executor()
    other = next(each for each in await known(roster, 2) if each.name != one.name)
    assert await run_by(client, left) == other.name
    assert (await get_task(client, in_hand))["status"] == "running"
    may_end.set()
    assert await run_by(client, in_hand) == one.name
    await drained(roster, one.name)

    await roster.set_draining([one.name], False)
    await roster.set_draining([other.name], True)
    await drained(roster, other.name)
    assert await run_by(client, await accepted(client)) == one.name


async def test_one_that_comes_back_with_an_attempt_in_hand_still_finishes_it(
    installation: Inside,
):
    proxy = await installation.proxy()
    client = await installation.client(proxy)
    roster = Roster(proxy.connections.database)
    await installation.executor(concurrency=2)
    (one,) = await known(roster, 1)
    may_end = asyncio.Event()
    installation.upstream.will(held(may_end))
    in_hand = await accepted(client)
    await running(client, in_hand)
    for _ in range(3):
        await roster.set_draining([one.name], True)
        await drained(roster, one.name, running=1)
        await roster.set_draining([one.name], False)
        assert await run_by(client, await accepted(client)) == one.name
    may_end.set()
    assert await run_by(client, in_hand) == one.name
    await ready(proxy.connections.broker, 0)


async def test_one_that_ends_leaves_the_roster_at_once(installation: Inside):
    proxy = await installation.proxy()
    roster = Roster(proxy.connections.database)
    executors = [await installation.executor() for _ in range(2)]
    names = {each.name for each in await known(roster, 2)}
    await roster.set_draining(names, True)
    for name in names:
        await drained(roster, name)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for executor in executors:
            await executor.finish()
    assert await roster.of_queue("clients") == []


async def test_idle_time_counts_from_the_end_of_the_last_attempt(installation: Inside):
    proxy = await installation.proxy()
    client = await installation.client(proxy)
    roster = Roster(proxy.connections.database)
    await installation.executor()
    (idle,) = await known(roster, 1)
    assert idle.idle_seconds is not None
    may_end = asyncio.Event()
    installation.upstream.will(held(may_end))
    in_hand = await accepted(client)

    async def is_busy() -> None:
        (one,) = await roster.of_queue("clients")
        assert (one.running, one.idle_seconds) == (1, None)

    await eventually(is_busy)
    may_end.set()
    await run_by(client, in_hand)

    async def is_idle() -> None:
        (one,) = await roster.of_queue("clients")
        assert one.running == 0
        assert one.idle_seconds is not None

    await eventually(is_idle)
