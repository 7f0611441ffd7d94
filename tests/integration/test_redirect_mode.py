"""Clients that know nothing of 202 are led to the answer by redirects, which they follow."""

import asyncio
from typing import Any
from urllib.request import Request, urlopen

import httpx
import pytest

from asynctestkit.calls import PROBLEMS, finished_task
from asynctestkit.inside import Inside, accepted, held, inside, one_of_each, operation, slow, status

JSON = {"Content-Type": "application/json"}
AT_ONCE = {"Prefer": "respond-async, redirect"}


async def post(client: httpx.AsyncClient, path: str = "/create-client", **given: Any) -> Any:
    return await client.post(path, json={}, **given)


async def test_who_follows_redirects_gets_the_answer_of_a_slow_task_by_one_plain_call(
    sqlite_url: str,
):
    """One that takes longer than the window and than the address that waits for it."""
    declared = operation(redirect=True, waitSeconds=0.2)
    given = {"max_wait_seconds": 1, "watch_interval_seconds": 0.05}
    async with inside(
        declared, database_url=sqlite_url, broker_url="memory://", **given
    ) as installation:
        client = await one_of_each(installation)
        installation.upstream.will(slow(2.5), slow(2.5))
        answer = await post(client, follow_redirects=True)

        def by_the_standard_library() -> tuple[int, bytes]:
            request = Request(f"{client.base_url}/create-client", b"{}", JSON)
            with urlopen(request, timeout=30) as response:
                return response.status, response.read()

        code, body = await asyncio.to_thread(by_the_standard_library)
    assert (answer.status_code, answer.json()) == (201, {"slow": 2.5})
    assert (code, body) == (201, answer.content)
    first, *others = answer.history
    assert (first.status_code, first.request.method) == (303, "POST")
    assert first.headers["location"].endswith("/response?wait=1")
    assert first.json()["id"] == first.headers["task-id"] == answer.headers["task-id"]
    assert first.headers["cache-control"] == "no-store"
    assert [one.status_code for one in others] == [303] * len(others)
    assert 1 <= len(others) <= 3
    assert {one.request.method for one in others} == {"GET"}
    assert len(installation.upstream.keys) == 2


@pytest.mark.parametrize(
    ("declared", "prefer", "applied", "wait"),
    [
        (False, "respond-async, redirect", "respond-async, redirect", 30),
        (False, "wait=0, redirect", "redirect, wait=0", 30),
        (True, "wait=0", "wait=0", 30),
        # Who says so knows what a 202 is.
        (True, "respond-async", "respond-async", None),
        (True, "respond-async, redirect", "respond-async, redirect", 30),
        (False, "respond-async", "respond-async", None),
        (False, "respond-async, redirect=no", "respond-async", None),
    ],
)
async def test_a_303_comes_in_place_of_a_202_where_that_is_wanted(
    sqlite_url: str, declared: bool, prefer: str, applied: str, wait: int | None
):
    given = {"database_url": sqlite_url, "broker_url": "memory://"}
    async with inside(operation(redirect=declared), **given) as installation:
        client = await installation.client(await installation.proxy(public_url="/api"))
        answer = await post(client, headers={"Prefer": prefer})
    assert answer.status_code == (303 if wait else 202)
    assert answer.headers["preference-applied"] == applied
    task = f"/api/tasks/{answer.headers['task-id']}"
    assert answer.headers["location"] == (f"{task}/response?wait={wait}" if wait else task)
    assert ("retry-after" in answer.headers) is (wait is None)


async def test_an_address_that_waits_gives_the_answer_once_it_is_there(installation: Inside):
    client = await one_of_each(installation)
    may_end = asyncio.Event()
    installation.upstream.will(held(may_end))
    task_id = await accepted(client)
    waiting = asyncio.create_task(client.get(f"/tasks/{task_id}/response?wait=30"))
    done, _ = await asyncio.wait([waiting], timeout=0.3)
    assert not done
    may_end.set()
    answer = await waiting
    assert (answer.status_code, answer.json()) == (201, {"held": True})
    again = await client.get(f"/tasks/{task_id}/response?wait=30")
    assert again.content == answer.content


async def test_a_task_without_an_answer_ends_the_redirects_with_its_problem(installation: Inside):
    client = await one_of_each(installation)
    installation.upstream.will(*[status(500)] * 3)
    answer = await post(client, headers=AT_ONCE, follow_redirects=True)
    assert answer.status_code == 502
    assert answer.json()["type"] == f"{PROBLEMS}upstream-failed"


async def test_an_address_that_waits_may_find_its_task_forgotten(installation: Inside):
    client = await one_of_each(installation)
    task_id = await accepted(client)
    await finished_task(client, task_id)
    await client.delete(f"/tasks/{task_id}")
    answer = await client.get(f"/tasks/{task_id}/response?wait=30")
    assert answer.status_code == 404


@pytest.mark.parametrize("wait", ["0", "-1", "soon", "1.5", ""])
async def test_a_wait_that_is_none_is_refused_since_it_would_redirect_at_once(
    installation: Inside, wait: str
):
    client = await installation.client(await installation.proxy())
    task_id = await accepted(client)
    answer = await client.get(f"/tasks/{task_id}/response", params={"wait": wait})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "wait"


async def test_without_room_to_wait_nobody_is_redirected_in_a_circle(sqlite_url: str):
    given = {"database_url": sqlite_url, "broker_url": "memory://", "max_waiting": 1}
    async with inside(operation(), **given) as installation:
        client = await installation.client(await installation.proxy())
        task_id = await accepted(client)
        address = f"/tasks/{task_id}/response?wait=30"
        waiting = asyncio.create_task(client.get(address))
        await asyncio.wait([waiting], timeout=0.3)
        answer = await client.get(address)
        await client.post(f"/tasks/{task_id}/cancel")
        assert (await waiting).status_code == 409
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


async def test_where_no_window_may_be_held_there_is_no_redirect(sqlite_url: str):
    given = {"database_url": sqlite_url, "broker_url": "memory://", "max_wait_seconds": 0}
    async with inside(operation(redirect=True), **given) as installation:
        client = await installation.client(await installation.proxy())
        answer = await post(client, headers=AT_ONCE)
        assert answer.status_code == 202
        response = await client.get(f"{answer.headers['location']}/response?wait=30")
    assert response.status_code == 409
