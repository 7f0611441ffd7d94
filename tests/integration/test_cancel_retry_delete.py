"""Ending, repeating and forgetting tasks by the proxy's API, through whole systems in memory."""

import asyncio

import pytest

from asynctestkit.calls import PROBLEMS, finished_task, get_task, has_status
from asynctestkit.eventually import eventually
from asynctestkit.inside import Inside, accepted, held, inside, one_of_each, operation, slow, status


async def test_a_queued_task_is_cancelled_at_once_and_its_caller_is_told(installation: Inside):
    client = await installation.client(await installation.proxy())
    call = asyncio.ensure_future(client.post("/create-client", json={}))

    async def the_task() -> str:
        (task,) = (await client.get("/tasks")).json()["tasks"]
        return task["id"]

    async def seen() -> str:
        assert (await client.get("/tasks")).json()["tasks"]
        return await the_task()

    task_id = await eventually(seen)
    answer = await client.post(f"/tasks/{task_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["done"]
    told = await call
    assert (told.status_code, told.json()["type"]) == (409, f"{PROBLEMS}task-cancelled")
    assert told.headers["task-id"] == task_id

    # Its message is still there: it changes nothing, and the upstream is not called.
    await installation.executor()
    other = await accepted(client)
    await finished_task(client, other)
    assert (await get_task(client, task_id))["status"] == "cancelled"
    assert installation.upstream.keys == [other]


async def test_a_running_task_is_cancelled_and_its_upstream_call_ends(
    installation: Inside,
):
    client = await one_of_each(installation)
    installation.upstream.will(held(asyncio.Event()))
    call = asyncio.ensure_future(client.post("/create-client", json={}))

    async def running() -> str:
        page = await client.get("/tasks?status=running")
        assert page.json()["tasks"]
        (task,) = page.json()["tasks"]
        assert installation.upstream.keys
        return task["id"]

    task_id = await eventually(running)
    answer = await client.post(f"/tasks/{task_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert answer.json()["cancelRequested"]
    again = await client.post(f"/tasks/{task_id}/cancel")
    assert again.status_code in {202, 409}

    async def disconnected() -> None:
        assert installation.upstream.disconnects == 1

    await eventually(disconnected, timeout_seconds=20)  # the call itself would last 30
    told = await call
    assert (told.status_code, told.json()["type"]) == (409, f"{PROBLEMS}task-cancelled")
    task = await has_status(client, task_id, "cancelled")
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["cancelled"]
    assert len(installation.upstream.keys) == 1


async def test_a_task_that_waits_for_its_retry_is_cancelled(sqlite_url: str):
    patient = operation(retry={"maxAttempts": 3, "backoffSeconds": [60, 60]})
    async with inside(patient, database_url=sqlite_url, broker_url="memory://") as installation:
        client = await one_of_each(installation)
        installation.upstream.will(status(503, Retry_After="60"))
        task_id = await accepted(client)

        async def backs_off() -> None:
            task = await get_task(client, task_id)
            assert (task["status"], task["attempt"]) == ("queued", 1)

        await eventually(backs_off)
        answer = await client.post(f"/tasks/{task_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


async def test_what_has_finished_cannot_be_cancelled(installation: Inside):
    client = await one_of_each(installation)
    installation.upstream.will(status(201), status(404))
    for end in ("succeeded", "failed"):
        task_id = await accepted(client)
        before = await finished_task(client, task_id)
        answer = await client.post(f"/tasks/{task_id}/cancel")
        assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEMS}task-finished")
        assert answer.headers["content-type"] == "application/problem+json"
        assert await get_task(client, task_id) == before
        assert before["status"] == end


async def test_a_cancelled_or_expired_task_cannot_be_cancelled_again(installation: Inside):
    client = await installation.client(await installation.proxy())
    cancelled, expired = await accepted(client), await accepted(client, **{"Task-Deadline": "0.1"})
    await client.post(f"/tasks/{cancelled}/cancel")
    await has_status(client, expired, "expired")
    for task_id in (cancelled, expired):
        before = await get_task(client, task_id)
        answer = await client.post(f"/tasks/{task_id}/cancel")
        assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEMS}task-finished")
        assert await get_task(client, task_id) == before


async def test_a_failed_task_is_retried_with_new_attempts(installation: Inside):
    client = await one_of_each(installation)
    installation.upstream.will(*[status(503)] * 3, status(503), status(201))
    task_id = await accepted(client)
    failed = await finished_task(client, task_id)
    assert (failed["status"], failed["attempt"], failed["maxAttempts"]) == ("failed", 3, 3)

    answer = await client.post(f"/tasks/{task_id}/retry")

    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["location"] == f"/tasks/{task_id}"
    task = await finished_task(client, task_id)
    assert (task["status"], task["attempt"], task["maxAttempts"]) == ("succeeded", 5, 6)
    assert [attempt["number"] for attempt in task["attempts"]] == [1, 2, 3, 4, 5]
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["failed"] * 4 + ["succeeded"]
    assert set(installation.upstream.keys) == {task_id}


@pytest.mark.parametrize("end", ["cancelled", "expired"])
async def test_a_cancelled_or_expired_task_is_retried(installation: Inside, end: str):
    client = await installation.client(await installation.proxy())
    deadline = {"Task-Deadline": "0.1"} if end == "expired" else {}
    task_id = await accepted(client, **{"Task-Priority": "7"}, **deadline)
    if end == "cancelled":
        await client.post(f"/tasks/{task_id}/cancel")
    await has_status(client, task_id, end)
    assert (await client.post(f"/tasks/{task_id}/retry")).status_code == 202
    await installation.executor()
    task = await finished_task(client, task_id)
    assert (task["status"], task["error"], task["deadline"]) == ("succeeded", None, None)
    assert task["priority"] == 7


async def test_neither_a_success_nor_what_still_runs_is_retried(installation: Inside):
    client = await one_of_each(installation)
    installation.upstream.will(status(201), slow(1))
    succeeded = await accepted(client)
    await finished_task(client, succeeded)
    answer = await client.post(f"/tasks/{succeeded}/retry")
    assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEMS}task-finished")
    running = await accepted(client)
    await has_status(client, running, "running")
    answer = await client.post(f"/tasks/{running}/retry")
    assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEMS}task-not-finished")


async def test_only_what_has_finished_is_forgotten(installation: Inside):
    proxy = await installation.proxy()
    client = await installation.client(proxy)
    key = {"Idempotency-Key": "one"}
    task_id = await accepted(client, **key)
    answer = await client.delete(f"/tasks/{task_id}")
    assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEMS}task-not-finished")
    await client.post(f"/tasks/{task_id}/cancel")
    answer = await client.delete(f"/tasks/{task_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("GET", "/response"),
        ("GET", "/events"),
    ):
        gone = await client.request(method, f"/tasks/{task_id}{path}")
        assert (gone.status_code, gone.json()["type"]) == (404, f"{PROBLEMS}task-not-found")
    # Its key may be used anew.
    assert await accepted(client, **key) != task_id
