"""How an executor brings tasks to their end, whatever the upstream or a caller does."""

import asyncio

from asynctasks.statements.conditions import tasks
from asynctestkit.calls import PROBLEMS, get_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import (
    Inside,
    accepted,
    held,
    inside,
    one_of_each,
    slow,
    status,
)


async def test_a_waiting_caller_gets_the_answer_of_a_retry(installation: Inside):
    client = await one_of_each(installation)
    installation.upstream.will(status(503), status(429), status(201))
    answer = await client.post("/create-client", json={})
    assert (answer.status_code, answer.json()) == (201, {"status": 201})
    task = await get_task(client, answer.headers["task-id"])
    assert (task["attempt"], task["maxAttempts"]) == (3, 3)
    assert [entry["number"] for entry in task["attempts"]] == [1, 2, 3]
    assert [entry["outcome"] for entry in task["attempts"]] == ["failed", "failed", "succeeded"]
    assert [entry["responseStatus"] for entry in task["attempts"]] == [503, 429, 201]
    for entry in task["attempts"]:
        assert entry["startedAt"] <= entry["finishedAt"]
        assert entry["executor"]


async def test_the_upstreams_retry_after_is_kept_in_the_row(sqlite_url: str):
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        proxy = await installation.proxy()
        await installation.executor()
        client = await installation.client(proxy)
        waits = {"120": 120.0, "999999": 3_600.0}
        for asked, expected in waits.items():
            installation.upstream.will(status(503, Retry_After=asked))
            task_id = await accepted(client)

            async def backs_off(task_id: str = task_id) -> None:
                task = await get_task(client, task_id)
                assert (task["status"], task["attempt"]) == ("queued", 1)

            await eventually(backs_off)
            async with proxy.connections.database.read() as connection:
                row = (await connection.execute(tasks.select().order_by(tasks.c.id.desc()))).first()
            assert row is not None
            ended_at = row.attempt_started_at
            assert 0 <= (row.run_after - ended_at).total_seconds() - expected < 10
            assert row.next_publish_at == row.run_after


async def test_a_deadline_ends_a_queued_and_a_running_task_and_tells_its_caller(
    installation: Inside,
):
    client = await installation.client(await installation.proxy())
    queued = await client.post("/create-client", json={}, headers={"Task-Deadline": "0.5"})
    assert (queued.status_code, queued.json()["type"]) == (504, f"{PROBLEMS}task-expired")
    await installation.executor()
    installation.upstream.will(held(asyncio.Event()))
    running = await client.post("/create-client", json={}, headers={"Task-Deadline": "1"})
    assert (running.status_code, running.json()["type"]) == (504, f"{PROBLEMS}task-expired")

    def disconnected() -> None:
        assert installation.upstream.disconnects == 1

    await eventually(disconnected, timeout_seconds=20)  # the call itself would last 30
    task = await get_task(client, running.headers["task-id"])
    assert (task["status"], task["attempts"][0]["outcome"]) == ("expired", "expired")


async def test_a_delayed_task_runs_no_earlier_and_is_waited_for_within_the_window(
    installation: Inside,
):
    client = await one_of_each(installation)
    answer = await client.post("/create-client", json={}, headers={"Task-Delay": "1"})
    assert answer.status_code == 201
    assert answer.elapsed.total_seconds() >= 0.9
    later = await client.post("/create-client", json={}, headers={"Task-Delay": "600"})
    assert later.status_code == 202
    assert later.elapsed.total_seconds() < 30
    assert later.headers["retry-after"]


async def test_slow_work_is_renewed_beyond_its_lease(sqlite_url: str):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", lease_seconds=2
    ) as installation:
        client = await one_of_each(installation)
        installation.upstream.will(slow(4))
        answer = await client.post("/create-client", json={})
        assert answer.status_code == 201
        task = await get_task(client, answer.headers["task-id"])
        assert (task["attempt"], len(installation.upstream.keys)) == (1, 1)
