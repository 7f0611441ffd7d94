"""What a caller sees of a task that a limit or a pause holds, until it is let go."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from asynctasks.instants import utc_now
from asynctasks.limits.limit import Breaker, Limit
from asynctasks.statements.limit_states import limits
from asynctestkit.calls import get_task, has_status
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, Stoppable, accepted, held, inside, operation

CRM = Limit(name="crm", concurrency=1, breaker=Breaker())
BY_CRM = {"kind": "limit", "name": "crm"}
OPERATIONS = (operation(limits=["crm"]).bounded_by({"crm": CRM}), operation("free"))


@pytest.fixture
async def installation(database_url: str) -> AsyncIterator[Inside]:
    async with inside(*OPERATIONS, database_url=database_url, broker_url="memory://") as inner:
        yield inner


@pytest.fixture
async def proxy(installation: Inside) -> Stoppable:
    await installation.executor()
    return await installation.proxy()


@pytest.fixture
async def client(installation: Inside, proxy: Stoppable) -> httpx.AsyncClient:
    return await installation.client(proxy)


@pytest.fixture
async def over(installation: Inside, client: httpx.AsyncClient) -> asyncio.Event:
    """Set, the one task ends that runs, and that is all that its limit lets run."""
    ends = asyncio.Event()
    installation.upstream.will(held(ends))
    await has_status(client, await accepted(client), "running")
    return ends


async def is_held_by(client: httpx.AsyncClient, task_id: str, held_by: Any) -> dict[str, Any]:
    async def it_is() -> dict[str, Any]:
        task = await get_task(client, task_id)
        assert (task["status"], task["heldBy"]) == ("queued", held_by)
        return task

    return await eventually(it_is)


async def test_a_held_task_says_by_what_and_why_wherever_it_is_shown(
    client: httpx.AsyncClient, over: asyncio.Event
):
    waiting = await accepted(client)
    task = await is_held_by(client, waiting, BY_CRM)
    assert (task["message"], task["attempt"]) == ("limit crm: 1 of 1 run", 0)
    page = (await client.get("/tasks?status=queued")).json()
    assert [each["heldBy"] for each in page["tasks"]] == [BY_CRM]
    async with client.stream("GET", f"/tasks/{waiting}/events") as events:
        lines = (line async for line in events.aiter_lines() if line.startswith("data: "))
        first = json.loads((await anext(lines)).removeprefix("data: "))
        assert first["heldBy"] == BY_CRM
    # By now the proxy knows, and tells the next caller at once.
    answer = await client.post("/create-client", json={}, headers=ASYNC)
    assert answer.json()["heldBy"] == BY_CRM
    over.set()
    await has_status(client, waiting, "succeeded")
    assert (await get_task(client, waiting))["heldBy"] is None


async def test_a_limit_that_is_raised_lets_the_next_task_start(
    installation: Inside, client: httpx.AsyncClient, over: asyncio.Event
):
    ends = asyncio.Event()
    installation.upstream.will(held(ends))
    waiting = await accepted(client)
    await is_held_by(client, waiting, BY_CRM)
    changed = await client.patch("/limits/crm", json={"concurrency": 2})
    assert changed.json()["concurrency"] == 2
    await has_status(client, waiting, "running")
    assert (await client.get("/limits/crm")).json()["running"] == 2
    over.set()
    ends.set()


@pytest.mark.parametrize(
    ("path", "held_by"),
    [
        ("/queues/clients", {"kind": "queue", "name": "clients"}),
        ("/operations/create-client", {"kind": "operation", "name": "create-client"}),
        ("/limits/crm", BY_CRM),
    ],
)
async def test_while_it_is_paused_what_runs_goes_on_and_nothing_starts(
    client: httpx.AsyncClient, over: asyncio.Event, path: str, held_by: dict[str, str]
):
    paused = await client.post(f"{path}/pause")
    since = paused.json()["paused"]["since"]
    over.set()

    async def nothing_runs() -> None:
        assert (await client.get("/tasks?status=running")).json()["tasks"] == []

    await eventually(nothing_runs)
    waiting = await accepted(client)
    task = await is_held_by(client, waiting, held_by)
    kind, name = held_by.values()
    assert task["message"].startswith(f"{kind} {name} is paused since {since[:16]}")
    assert (await client.get("/limits/crm")).json()["held"] == 1
    await client.post(f"{path}/resume")
    await has_status(client, waiting, "succeeded")


async def test_a_queue_that_is_paused_holds_operations_without_limits_too(
    client: httpx.AsyncClient,
):
    await client.post("/queues/clients/pause")
    waiting = (await client.post("/free", json={}, headers=ASYNC)).json()
    assert waiting["heldBy"] == {"kind": "queue", "name": "clients"}
    await client.post("/queues/clients/resume")
    await has_status(client, waiting["id"], "succeeded")


async def test_of_an_upstream_that_is_left_alone_a_202_says_for_how_long(
    proxy: Stoppable, client: httpx.AsyncClient
):
    now = utc_now()
    row = {"opened_at": now, "open_until": now + timedelta(seconds=90), "failures": 10}
    async with proxy.connections.database.write() as connection:
        await connection.execute(insert(limits).values(name="crm", **row))

    async def it_says_so() -> None:
        answer = await client.post("/create-client", json={}, headers=ASYNC)
        assert 60 < int(answer.headers["retry-after"]) <= 90
        task = answer.json()
        assert task["heldBy"] == BY_CRM
        assert task["message"].startswith("limit crm rests until ")
        shown = await client.get(f"/tasks/{task['id']}")
        assert 60 < int(shown.headers["retry-after"]) <= 90

    await eventually(it_says_so)
    free = await client.post("/free", json={}, headers=ASYNC)
    assert free.headers["retry-after"] == "1"
