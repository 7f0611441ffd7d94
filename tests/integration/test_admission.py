"""Back-pressure and large answers, through a whole system."""

import asyncio
from functools import partial
from typing import Any

import httpx
import pytest
from aiohttp import web

from asyncproxy.admission import Admission
from asynctasks.broker.messages import MAX_REPLY_BODY_BYTES
from asynctasks.statements.upkeep import Upkeep
from asynctestkit.calls import PROBLEMS, finished_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Answer, inside, one_of_each, operation


async def tasks_of(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    return (await client.get("/tasks")).json()["tasks"]


async def test_one_caller_too_many_is_503_unless_it_does_not_wait(sqlite_url: str):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", max_waiting=2
    ) as installation:
        client = await installation.client(await installation.proxy())
        waiting = [asyncio.ensure_future(client.post("/create-client", json={})) for _ in range(2)]

        async def both_wait() -> None:
            assert len(await tasks_of(client)) == 2

        await eventually(both_wait)
        refused = await client.post("/create-client", json={})
        assert (refused.status_code, refused.json()["type"]) == (503, f"{PROBLEMS}overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert len(await tasks_of(client)) == 2
        for headers in (ASYNC, {"Prefer": "wait=0"}, {"Task-Delay": "100"}):
            taken = await client.post("/create-client", json={}, headers=headers)
            assert taken.status_code == 202
        await installation.executor()
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [201, 201]
        assert (await client.post("/create-client", json={})).status_code == 201


async def test_a_full_queue_is_429_for_its_operation_alone_until_it_is_shorter(sqlite_url: str):
    async with inside(
        operation(maxQueued=3),
        operation("other"),
        database_url=sqlite_url,
        broker_url="memory://",
    ) as installation:
        client = await installation.client(await installation.proxy())
        answers = [await client.post("/create-client", json={}, headers=ASYNC) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
        assert answers[3].json()["type"] == f"{PROBLEMS}queue-full"
        assert int(answers[3].headers["retry-after"]) >= 1
        assert len(await tasks_of(client)) == 3
        assert (await client.post("/other", json={}, headers=ASYNC)).status_code == 202
        await installation.executor()

        async def taken_again() -> None:
            answer = await client.post("/create-client", json={})
            assert answer.status_code == 201

        await eventually(taken_again)
        # Quick answers fill no queue, however many there are between two samples.
        for _ in range(10):
            await taken_again()


async def test_a_full_queue_is_429_with_the_broker_away_too(sqlite_url: str):
    async with inside(
        operation(maxQueued=3),
        database_url=sqlite_url,
        broker_url="amqp://guest:guest@127.0.0.1:9/",
    ) as installation:
        proxy = await installation.proxy()
        client = await installation.client(proxy)
        answers = [await client.post("/create-client", json={}, headers=ASYNC) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
        # Not only until the next sample.
        backlogs = await Upkeep(proxy.connections.database).backlogs(seconds=60)
        assert backlogs["clients"].queued == {"create-client": 3}


async def test_where_the_queue_outlasts_the_window_the_caller_has_its_task_at_once(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
):
    quick = partial(Admission, sample_seconds=0.2, largest_share=1.0)
    monkeypatch.setattr("asyncproxy.proxy.Admission", quick)

    async def steady(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        return web.json_response({}, status=201)

    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        installation.upstream.will(*[steady] * 400)
        client = await installation.client(await installation.proxy())
        await asyncio.gather(
            *(client.post("/create-client", json={}, headers=ASYNC) for _ in range(200))
        )
        await installation.executor(concurrency=1)

        async def at_once() -> httpx.Response:
            answer = await client.post("/create-client", json={}, headers={"Prefer": "wait=3"})
            assert answer.status_code == 202
            assert answer.elapsed.total_seconds() < 1.5
            return answer

        answer = await eventually(at_once)
        assert int(answer.headers["retry-after"]) > 3  # what the queue takes at its rate
        assert answer.json()["status"] == "queued"


@pytest.mark.parametrize("size", [MAX_REPLY_BODY_BYTES, MAX_REPLY_BODY_BYTES + 1, 1_048_576])
async def test_an_answer_up_to_what_is_kept_arrives_whole(
    postgresql_url: str, amqp_url: str, queue_prefix: str, size: int
):
    body = bytes(n % 251 for n in range(size))
    async with inside(
        database_url=postgresql_url, broker_url=amqp_url, broker_prefix=f"{queue_prefix}l"
    ) as installation:
        client = await one_of_each(installation)
        installation.upstream.will(_bytes(body))
        answer = await client.post("/create-client", json={}, headers={"Prefer": "wait=60"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/x-any")
        assert answer.content == body
        assert answer.elapsed.total_seconds() < 50
        task = await finished_task(client, answer.headers["task-id"])
        again = await client.get(task["links"]["response"])
        assert again.content == body


def _bytes(body: bytes) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="image/x-any")

    return answer
