"""How an executor brings tasks to their end, whatever the upstream, the broker or a caller does."""

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiormq
import httpx
import pytest
from aiohttp import web
from sqlalchemy import update

from asynctasks.broker.messages import TaskMessage
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.statements.claims import Claims
from asynctasks.statements.conditions import tasks
from asynctasks.task import new_task_id
from asynctestkit.calls import finished_task, get_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import (
    ASYNC,
    Inside,
    accepted,
    held,
    inside,
    one_of_each,
    operation,
    slow,
    status,
)

PROBLEMS = "https://asyncapiproxy.dev/problems/"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@pytest.fixture
async def installation(sqlite_url: str):
    async with inside(
        database_url=sqlite_url,
        broker_url="memory://",
        relay_interval_seconds=0.05,
        watch_interval_seconds=0.05,
    ) as installation:
        yield installation


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

    await eventually(disconnected, timeout_seconds=3)
    task = await get_task(client, running.headers["task-id"])
    assert (task["status"], task["attempts"][0]["outcome"]) == ("expired", "expired")


async def test_a_delayed_task_runs_no_earlier_and_is_waited_for_within_the_window(
    installation: Inside,
):
    client = await one_of_each(installation)
    answer = await client.post("/create-client", json={}, headers={"Task-Delay": "1"})
    assert answer.status_code == 201
    assert answer.elapsed.total_seconds() >= 0.9
    later = await client.post("/create-client", json={}, headers={"Task-Delay": "60"})
    assert later.status_code == 202
    assert later.elapsed.total_seconds() < 5
    assert later.headers["retry-after"]


async def test_tasks_are_listed_by_what_was_asked_for(sqlite_url: str, postgresql_url: str):
    for database_url in (sqlite_url, postgresql_url):
        async with inside(
            operation(), operation("other"), database_url=database_url, broker_url="memory://"
        ) as installation:
            client = await installation.client(await installation.proxy())
            blue = await accepted(client, **{"Task-Labels": "team=blue, example.com/tier=1"})
            red = await accepted(client, **{"Task-Labels": "team=red"})
            other = (await client.post("/other", json={}, headers=ASYNC)).json()
            await client.post(f"/tasks/{red}/cancel")

            async def ids(client: httpx.AsyncClient = client, **query: str) -> list[str]:
                answer = await client.get("/tasks", params=query)
                assert answer.status_code == 200, answer.text
                return [task["id"] for task in answer.json()["tasks"]]

            assert await ids() == [other["id"], red, blue]
            assert await ids(label="team=blue") == [blue]
            assert await ids(label="example.com/tier=1") == [blue]
            assert await ids(label="team=green") == []
            assert await ids(status="cancelled") == [red]
            assert await ids(operation="other") == [other["id"]]
            first_at = (await get_task(client, blue))["createdAt"]
            assert await ids(created_after=first_at) == [other["id"], red]
            for odd in ('a"b=1', "=1", "a\\=1", "$.team=blue", "a\0b=1"):
                answer = await client.get("/tasks", params={"label": odd})
                assert answer.status_code in {200, 422}, (odd, answer.text)
                assert answer.json().get("tasks", []) == []
            for query in (
                {"created_after": "2026-01-01T00:00:00"},
                {"created_after": "0001-01-01T00:00:00+14:00"},
                {"created_after": "soon"},
                {"operation": "a\0b"},
                {"page_size": "0"},
                {"page_token": "x"},
                {"status": "done"},
            ):
                answer = await client.get("/tasks", params=query)
                assert answer.status_code in {200, 422}, (query, answer.text)


async def test_pages_hold_each_task_once_though_tasks_are_added_meanwhile(installation: Inside):
    client = await installation.client(await installation.proxy())
    ids = [await accepted(client) for _ in range(7)]
    seen: list[str] = []
    path = "/tasks?page_size=3&operation=create-client"
    while path:
        page = await client.get(path)
        seen += [task["id"] for task in page.json()["tasks"]]
        path = page.links.get("next", {}).get("url", "")
        assert bool(path) is (page.json()["nextPageToken"] is not None)
        await accepted(client)
    assert seen == ids[::-1]


@asynccontextmanager
async def talking(talk: Talk) -> AsyncGenerator[str]:
    """An upstream that does as it likes with the connection."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        talks.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _silence(*_: Any) -> None:
    await asyncio.sleep(30)


async def _reset(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _garbage(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 I am no HTTP \xff\xfe\r\n\r\n")
    await writer.drain()


async def _half(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()


async def _endless_body(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def _endless_headers(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while True:
        number += 1
        writer.write(b"X-%d: %s\r\n" % (number, b"y" * 4_000))
        await writer.drain()


async def _trickle(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("talk", "code", "problem", "attempts"),
    [
        (_silence, 504, "upstream-timeout", 2),
        (_trickle, 504, "upstream-timeout", 2),
        (_reset, 502, "upstream-unreachable", 2),
        (_garbage, 502, "upstream-unreachable", 2),
        (_half, 502, "upstream-unreachable", 2),
        (_endless_body, 502, "upstream-response-too-large", 1),
        (_endless_headers, 502, "upstream-unreachable", 2),
    ],
)
async def test_an_upstream_that_misbehaves_is_a_problem_and_the_executor_goes_on(
    sqlite_url: str, talk: Talk, code: int, problem: str, attempts: int
):
    async with talking(talk) as url:
        bad = operation(
            "bad",
            upstream={"url": f"{url}/clients", "timeoutSeconds": 0.6},
            retry={"maxAttempts": 2, "backoffSeconds": [0.01, 0.01]},
        )
        async with inside(
            operation(),
            bad,
            database_url=sqlite_url,
            broker_url="memory://",
            relay_interval_seconds=0.05,
        ) as installation:
            client = await one_of_each(installation)
            answer = await client.post("/bad", json={})
            assert (answer.status_code, answer.json()["type"]) == (code, f"{PROBLEMS}{problem}")
            task = await get_task(client, answer.headers["task-id"])
            assert (task["status"], task["attempt"]) == ("failed", attempts)
            assert (await client.post("/create-client", json={})).status_code == 201


async def test_an_endless_body_takes_no_more_memory_than_a_body_may(sqlite_url: str):
    async with talking(_endless_body) as url:
        endless = operation("endless", upstream={"url": f"{url}/clients", "timeoutSeconds": 30})
        async with inside(
            operation(),
            endless,
            database_url=sqlite_url,
            broker_url="memory://",
            max_response_bytes=4_000_000,
        ) as installation:
            client = await one_of_each(installation)
            assert (await client.post("/create-client", json={})).status_code == 201
            tracemalloc.start()
            try:
                answer = await client.post("/endless", json={})
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert answer.json()["type"] == f"{PROBLEMS}upstream-response-too-large"
    # What was kept so far, one copy of it, and what aiohttp reads ahead.
    assert 4_000_000 < peak < 12_000_000


@pytest.fixture
async def on_rabbitmq(postgresql_url: str, amqp_url: str, queue_prefix: str):
    async with inside(
        database_url=postgresql_url,
        broker_url=amqp_url,
        broker_prefix=f"{queue_prefix}w",
        relay_interval_seconds=0.05,
        lease_seconds=2,
        max_interruptions=1,
    ) as installation:
        yield installation


async def dead_letters(broker: Any, url: str) -> list[tuple[bytes, str]]:
    """Takes them off their queue."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel()
        found: list[tuple[bytes, str]] = []
        while (
            got := await channel.basic_get(
                broker.topology.dead_letter_queue_name("clients"), no_ack=True
            )
        ).body:
            headers = got.header.properties.headers or {}
            found.append((got.body, str(headers.get("x-asyncapiproxy-reason"))))
        return found
    finally:
        await connection.close()


async def test_poison_messages_are_put_aside_with_a_reason_and_the_queue_goes_on(
    on_rabbitmq: Inside, amqp_url: str
):
    client = await one_of_each(on_rabbitmq)
    broker = await _broker(on_rabbitmq)
    unknown = TaskMessage(new_task_id(), "create-client").encode()
    poison = [b"no JSON", b"[]", b'{"task": 1}', b"", b"\xff\x00", unknown]
    for body in poison:
        await broker._publish(broker.topology.queue_name("clients"), body)
    answer = await client.post("/create-client", json={})
    assert answer.status_code == 201
    found: list[tuple[bytes, str]] = []

    async def all_aside() -> None:
        found.extend(await dead_letters(broker, amqp_url))
        assert len(found) >= len([body for body in poison if body])

    await eventually(all_aside)
    reasons = dict(found)
    assert "there is no task" in reasons[unknown]
    assert "expected" in reasons[b"no JSON"]


async def test_a_task_that_its_executor_does_not_know_fails_and_is_put_aside(
    postgresql_url: str, amqp_url: str, queue_prefix: str
):
    async with inside(
        operation(),
        operation("newer", retry={"maxAttempts": 1}),
        database_url=postgresql_url,
        broker_url=amqp_url,
        broker_prefix=f"{queue_prefix}u",
    ) as installation:
        proxy = await installation.proxy()
        await installation.executor(operation())
        client = await installation.client(proxy)
        answer = await client.post("/newer", json={})
        assert answer.json()["type"] == f"{PROBLEMS}operation-unknown"
        broker = await _broker(installation)

        async def put_aside() -> None:
            (letter,) = await dead_letters(broker, amqp_url)
            assert "operation-unknown" in letter[1]
            assert answer.headers["task-id"] in letter[1]

        await eventually(put_aside)
        assert (await client.post("/create-client", json={})).status_code == 201


async def test_a_task_whose_executors_die_too_often_fails_and_is_put_aside(
    on_rabbitmq: Inside, amqp_url: str
):
    proxy = await on_rabbitmq.proxy()
    client = await on_rabbitmq.client(proxy)
    task_id = await accepted(client)
    async with proxy.connections.database.write() as connection:
        await connection.execute(update(tasks).values(interruptions=1, attempt=1))
    await on_rabbitmq.executor()
    task = await finished_task(client, task_id)
    assert task["status"] == "failed"
    assert task["error"]["type"] == f"{PROBLEMS}task-interrupted-too-often"
    assert on_rabbitmq.upstream.keys == []
    broker = await _broker(on_rabbitmq)

    async def put_aside() -> None:
        (letter,) = await dead_letters(broker, amqp_url)
        assert "task-interrupted-too-often" in letter[1]

    await eventually(put_aside)


async def test_running_work_outlives_its_channel_and_finishes_once(on_rabbitmq: Inside):
    """RabbitMQ closes a channel for an unknown tag, as for a consumer that takes too long."""
    proxy = await on_rabbitmq.proxy()
    executor = await on_rabbitmq.executor()
    client = await on_rabbitmq.client(proxy)
    may_end = asyncio.Event()
    on_rabbitmq.upstream.will(held(may_end))
    call = asyncio.ensure_future(client.post("/create-client", json={}))

    def runs() -> None:
        assert on_rabbitmq.upstream.keys

    await eventually(runs)
    broker: Any = executor.connections.broker
    assert broker.is_connected
    consumption = _consumption(broker)
    closed = consumption._settling.channel
    await closed.basic_ack(999_999, wait=False)

    def reopened() -> None:
        assert consumption._settling.channel is not closed

    await eventually(reopened)
    may_end.set()
    answer = await call
    assert answer.status_code == 201
    task = await get_task(client, answer.headers["task-id"])
    assert (task["attempt"], len(on_rabbitmq.upstream.keys)) == (1, 1)
    assert (await client.post("/create-client", json={})).status_code == 201


def _consumption(broker: Any) -> Any:
    import gc  # noqa: PLC0415

    from asynctasks.broker.rabbitmq_consumption import RabbitmqConsumption  # noqa: PLC0415

    (found,) = [
        one
        for one in gc.get_objects()
        if isinstance(one, RabbitmqConsumption) and one._broker is broker
    ]
    return found


async def _broker(installation: Inside) -> RabbitmqBroker:
    broker = (await installation._connections({})).broker
    assert isinstance(broker, RabbitmqBroker)
    return broker


async def test_a_full_disk_is_503_and_all_goes_on_when_there_is_room(sqlite_url: str):
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        proxy = await installation.proxy()
        await installation.executor()
        client = await installation.client(proxy)
        may_end = asyncio.Event()
        installation.upstream.will(held(may_end))
        running = await accepted(client)

        def runs() -> None:
            assert installation.upstream.keys

        await eventually(runs)
        await _limit_pages(proxy, "(SELECT 1)")
        big = {"name": "x" * 200_000}
        refused = await client.post("/create-client", json=big)
        assert (refused.status_code, refused.json()["type"]) == (
            503,
            f"{PROBLEMS}database-unavailable",
        )
        assert len((await client.get("/tasks")).json()["tasks"]) == 1
        may_end.set()
        await _limit_pages(proxy, "1073741823")
        assert (await finished_task(client, running))["status"] == "succeeded"
        assert (await client.post("/create-client", json=big)).status_code == 201


async def test_an_outcome_waits_for_room_on_a_full_disk(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
):
    refusals: list[DatabaseUnavailableError] = []
    finish = Claims.finish

    async def watched_finish(claims: Claims, *given: Any) -> Any:
        try:
            return await finish(claims, *given)
        except DatabaseUnavailableError as error:
            refusals.append(error)
            raise

    monkeypatch.setattr(Claims, "finish", watched_finish)

    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        proxy = await installation.proxy()
        executor = await installation.executor()
        client = await installation.client(proxy)
        may_end = asyncio.Event()

        async def held_and_large(_: web.Request) -> web.StreamResponse:
            await may_end.wait()
            return web.json_response({"text": "x" * 200_000}, status=201)

        installation.upstream.will(held_and_large)
        task_id = await accepted(client)

        def runs() -> None:
            assert installation.upstream.keys

        await eventually(runs)
        await _limit_pages(executor, "(SELECT 1)")
        may_end.set()

        def was_refused() -> None:
            assert refusals

        await eventually(was_refused)
        assert (await get_task(client, task_id))["status"] == "running"
        await _limit_pages(executor, "1073741823")
        task = await finished_task(client, task_id)
        assert (task["status"], task["attempt"], len(installation.upstream.keys)) == (
            "succeeded",
            1,
            1,
        )


async def _limit_pages(service: Any, pages: str) -> None:
    async with service.connections.database.write() as connection:
        # One page: SQLite keeps to what there is already.
        number = "1" if pages.startswith("(") else pages
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {number}")


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


async def test_a_compressed_answer_is_bounded_by_what_it_unpacks_to(installation: Inside):
    import gzip  # noqa: PLC0415

    async def bomb(_: web.Request) -> web.StreamResponse:
        return web.Response(
            body=gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"}
        )

    client = await one_of_each(installation)
    installation.upstream.will(bomb)
    answer = await client.post("/create-client", json={})
    assert answer.status_code == 502
    assert answer.json()["type"] == f"{PROBLEMS}upstream-response-too-large"
