"""What is held for a caller ends with its connection; the task goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from asyncproxy.metrics import PARKED_CALLERS, REQUESTS
from asynctestkit.calls import PROBLEMS, finished_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import Inside, accepted, inside, operation

SOON = 0.4
"""When a caller gives up who follows a task."""
FREED_SECONDS = 20
"""By then a place is free again, and not because its caller's wait would have ended."""


@pytest.fixture(params=["shared", "per-task"])
async def installation(request: pytest.FixtureRequest, sqlite_url: str) -> AsyncIterator[Inside]:
    async with inside(
        operation(maxQueued=3),
        database_url=sqlite_url,
        broker_url="memory://",
        reply_strategy=request.param,
        max_waiting=3,
    ) as installation:
        yield installation


async def give_up(
    client: httpx.AsyncClient, method: str, path: str, *, times: int = 1, **sent: Any
) -> None:
    """Call so often at once, and hang up as soon as all are held."""
    parked: Any = PARKED_CALLERS
    before = parked._value.get()
    calls = [asyncio.ensure_future(client.request(method, path, **sent)) for _ in range(times)]

    def all_are_held() -> None:
        assert parked._value.get() == before + times

    await eventually(all_are_held)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)


async def test_three_who_give_up_keep_nobody_out_and_their_tasks_run(installation: Inside):
    client = await installation.client(await installation.proxy())
    left: Any = REQUESTS.labels("create-client", "left")
    before = left._value.get()
    await give_up(client, "POST", "/create-client", times=3, json={})

    async def all_have_left() -> None:
        assert left._value.get() == before + 3
        assert PARKED_CALLERS._value.get() == 0

    await eventually(all_have_left)
    # Their places are free, and their tasks still count as queued.
    fourth = await client.post("/create-client", json={})
    assert (fourth.status_code, fourth.json()["type"]) == (429, f"{PROBLEMS}queue-full")
    await installation.executor()
    tasks = (await client.get("/tasks")).json()["tasks"]
    assert len(tasks) == 3
    for task in tasks:
        assert (await finished_task(client, task["id"]))["status"] == "succeeded"


async def test_one_who_joined_by_a_key_and_gives_up_frees_its_place(installation: Inside):
    client = await installation.client(await installation.proxy(max_waiting=1))
    key = {"Idempotency-Key": "a"}
    task_id = await accepted(client, **key)
    await give_up(client, "POST", "/create-client", json={}, headers=key)

    async def admitted() -> None:
        answer = await client.post("/create-client", json={}, headers={"Prefer": "wait=1", **key})
        assert (answer.status_code, answer.json().get("id")) == (202, task_id)

    await eventually(admitted, timeout_seconds=FREED_SECONDS)


@pytest.mark.parametrize("way", ["long-poll", "events"])
async def test_one_who_followed_a_task_and_leaves_makes_room(installation: Inside, way: str):
    client = await installation.client(await installation.proxy(max_waiting=1))
    task_id = await accepted(client)
    path = f"/tasks/{task_id}"
    if way == "long-poll":
        with pytest.raises(httpx.ReadTimeout):
            await client.get(path, headers={"Prefer": "wait=30"}, timeout=SOON)
    else:
        async with client.stream("GET", f"{path}/events") as events:
            assert b"event: queued" in await anext(events.aiter_bytes())

    async def another_is_kept_waiting() -> None:
        try:
            await client.get(path, headers={"Prefer": "wait=30"}, timeout=SOON)
        except httpx.ReadTimeout:
            return
        raise AssertionError("it was answered at once")

    await eventually(another_is_kept_waiting, timeout_seconds=FREED_SECONDS)
