"""An upstream that is down is left alone, and no task fails by that."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from aiohttp import web

from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit import Limit
from asynctasks.operations.operation import Operation
from asynctasks.statements.limit_states import LimitStates
from asynctestkit.calls import get_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import Inside, accepted, inside, one_of_each, operation


def limited(**declared: Any) -> Operation:
    limit = Limit.model_validate({"name": "crm", **declared})
    return operation(limits=["crm"]).bounded_by({"crm": limit})


@dataclass
class Outage:
    """An upstream that is down until it is told otherwise."""

    is_over: bool = False
    headers: dict[str, str] = field(default_factory=dict[str, str])
    called_at: list[float] = field(default_factory=list[float])

    async def answer(self, _: web.Request) -> web.StreamResponse:
        self.called_at.append(time.monotonic())
        status = 201 if self.is_over else 503
        return web.json_response({}, status=status, headers=self.headers)


def outage(installation: Inside, **headers: str) -> Outage:
    down = Outage(headers=headers)
    installation.upstream.will(*[down.answer] * 1_000)
    return down


@pytest.fixture
async def installation(sqlite_url: str) -> AsyncIterator[Inside]:
    breaker = {"failures": 2, "withinSeconds": 60, "openSeconds": [0.2, 1]}
    async with inside(
        limited(concurrency=4, breaker=breaker),
        database_url=sqlite_url,
        broker_url="memory://",
        relay_interval_seconds=0.1,
    ) as running:
        yield running


async def ended(client: httpx.AsyncClient, ids: list[str]) -> list[dict[str, Any]]:
    async def all_have() -> list[dict[str, Any]]:
        found = [await get_task(client, task_id) for task_id in ids]
        assert {task["status"] for task in found} <= {"succeeded", "failed"}
        return found

    return await eventually(all_have, timeout_seconds=30)


async def test_while_the_upstream_is_down_nothing_fails_and_afterwards_all_is_done(
    installation: Inside,
):
    client = await one_of_each(installation)
    down = outage(installation)
    ids = [await accepted(client) for _ in range(3)]

    async def is_probed_more_often_than_all_of_them_have_attempts() -> None:
        tasks = [await get_task(client, task_id) for task_id in ids]
        probes = [entry for task in tasks for entry in task["attempts"]]
        assert sum(entry["outcome"] == "given back" for entry in probes) >= 9

    await eventually(is_probed_more_often_than_all_of_them_have_attempts, timeout_seconds=30)
    down.is_over = True
    tasks = await ended(client, ids)
    assert [task["status"] for task in tasks] == ["succeeded"] * 3
    attempts = [entry for task in tasks for entry in task["attempts"]]
    # Only those before it was taken for down, which ran at once, are counted.
    assert sum(entry["outcome"] == "failed" for entry in attempts) <= 2
    counted = sum(task["countedAttempts"] for task in tasks)
    assert 3 <= counted <= 2 + 3
    assert sum(task["attempt"] for task in tasks) >= 9 + counted
    given_back = next(entry for entry in attempts if entry["outcome"] == "given back")
    assert given_back["responseStatus"] == 503
    assert given_back["detail"].endswith("Not counted: the limit crm rests.")


async def test_an_upstream_that_asks_for_time_is_not_called_before(installation: Inside):
    client = await one_of_each(installation)
    down = outage(installation, **{"Retry-After": "1"})
    ids = [await accepted(client)]

    async def is_given_back() -> None:
        assert (await get_task(client, ids[0]))["attempts"]

    await eventually(is_given_back)
    down.is_over = True
    ids.append(await accepted(client))
    tasks = await ended(client, ids)
    assert [task["status"] for task in tasks] == ["succeeded"] * 2
    first, second, *_ = down.called_at
    assert second - first >= 0.9


async def test_a_breaker_whose_times_the_file_cuts_rests_no_longer_than_it_says_now(
    sqlite_url: str,
):
    patient = limited(breaker={"openSeconds": [300, 3_600]})
    quick = limited(breaker={"openSeconds": [0.2, 0.5]})
    async with inside(
        patient, database_url=sqlite_url, broker_url="memory://", relay_interval_seconds=0.1
    ) as installation:
        proxy = await installation.proxy()
        executor = await installation.executor()
        client = await installation.client(proxy)
        down = outage(installation, **{"Retry-After": "500"})
        ids = [await accepted(client)]

        async def rests() -> None:
            limit = (await client.get("/limits/crm")).json()
            assert limit["breaker"]["state"] == "open"

        await eventually(rests)
        down.is_over = True
        for running in (proxy, executor):
            await running.operations.change({quick.name: quick})
        tasks = await ended(client, ids)
        assert [task["status"] for task in tasks] == ["succeeded"]


@pytest.mark.parametrize("kind", list(PausedKind))
async def test_a_pause_keeps_tasks_from_starting_until_it_ends(
    installation: Inside, kind: PausedKind
):
    name = {"queue": "clients", "operation": "create-client", "limit": "crm"}[kind]
    proxy = await installation.proxy()
    states = LimitStates(proxy.connections.database)
    await states.pause(kind, name, by="ann")
    await installation.executor()
    client = await installation.client(proxy)
    held = await client.post("/create-client", json={}, headers={"Prefer": "wait=1"})
    assert held.status_code == 202
    task = await get_task(client, held.json()["id"])
    assert (task["status"], task["attempt"]) == ("queued", 0)
    assert installation.upstream.keys == []
    await states.resume(kind, name)
    await ended(client, [held.json()["id"]])
    assert len(installation.upstream.keys) == 1
