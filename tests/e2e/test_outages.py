"""What callers see while RabbitMQ or PostgreSQL is away, and that nothing needs a restart after."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiormq
import httpx
import pytest

from asynctestkit.calls import caller, create_client, finished_task, new_email
from asynctestkit.eventually import eventually
from asynctestkit.processes import Installation, Keep, Service, start_all
from asynctestkit.servers import PostgresqlServer, RabbitmqServer

SECRET = "correct-horse-battery-staple"
DATABASE_AWAY = "https://asyncapiproxy.dev/problems/database-unavailable"


@dataclass(frozen=True)
class Running:
    postgresql: PostgresqlServer
    rabbitmq: RabbitmqServer
    proxy: Service
    services: tuple[Service, ...]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, keep_in_module: Keep) -> Iterator[Running]:
    with PostgresqlServer() as postgresql, RabbitmqServer() as rabbitmq:
        installation = Installation(
            tmp_path_factory.mktemp("outages"),
            database_url=postgresql.url,
            broker_url=rabbitmq.url,
            settings={"publish_grace_seconds": 2, "lease_seconds": 4, "write_seconds": 2},
        )
        installation.migrate()
        proxy = installation.proxy()
        services = (proxy, installation.executor(), installation.demo_api())
        start_all(keep_in_module, *services)
        yield Running(postgresql, rabbitmq, proxy, services)
        for service in services:
            service.kill()


async def test_the_password_is_in_no_message(running: Running):
    email = new_email()
    async with _traced(running.rabbitmq) as bodies, caller(running.proxy.url) as client:
        answers = [
            await create_client(client, email, password=SECRET),
            await create_client(client, new_email("drop"), password=SECRET),
        ]
        task_ids = [answer.headers["task-id"].encode() for answer in answers]

        def both_ways_traced() -> None:
            seen = b"".join(bodies)
            assert all(seen.count(task_id) >= 4 for task_id in task_ids)
            assert email.encode() in seen  # in the reply's body

        await eventually(both_ways_traced)

    assert [answer.status_code for answer in answers] == [201, 502]
    assert [body for body in bodies if SECRET.encode() in body] == []


@asynccontextmanager
async def _traced(rabbitmq: RabbitmqServer):
    """The bodies of all messages that are published or delivered, by RabbitMQ's own tracer."""
    bodies: list[bytes] = []
    connection = await aiormq.connect(rabbitmq.url)
    channel = await connection.channel()
    queue = (await channel.queue_declare(exclusive=True)).queue
    assert queue is not None
    await channel.queue_bind(queue, "amq.rabbitmq.trace", routing_key="#")

    async def on_message(message: aiormq.abc.DeliveredMessage) -> None:
        bodies.append(message.body + repr(message.header).encode())

    await channel.basic_consume(queue, on_message, no_ack=True)
    await asyncio.to_thread(rabbitmq.ctl, "trace_on")
    try:
        yield bodies
    finally:
        await asyncio.to_thread(rabbitmq.ctl, "trace_off")
        await connection.close()


async def test_without_rabbitmq_a_call_is_a_task_at_once_that_ends_when_it_is_back(
    running: Running,
):
    async with caller(running.proxy.url) as client:
        before = await create_client(client, new_email("slow+2"), prefer="wait=0")
        running.rabbitmq.stop()
        started = time.monotonic()

        away = [await create_client(client, new_email()) for _ in range(5)]

        assert time.monotonic() - started < 5
        assert [answer.status_code for answer in away] == [202] * 5
        await _health(running, "/readyz", 200)
        await eventually(lambda: _ping_says(client, "degraded"))

        running.rabbitmq.start()

        for answer in (before, *away):
            task = await finished_task(client, answer.headers["task-id"])
            assert task["status"] == "succeeded", task
        await eventually(lambda: _answers(client, 201))
        await eventually(lambda: _ping_says(client, "ok"))


async def test_a_killed_rabbitmq_costs_no_task_and_no_caller(running: Running):
    async with caller(running.proxy.url) as client:
        emails = [new_email("slow+0.5") for _ in range(20)]
        calls = [
            asyncio.ensure_future(create_client(client, email, prefer="wait=5")) for email in emails
        ]
        await asyncio.sleep(0)
        running.rabbitmq.kill()
        running.rabbitmq.start()

        answers = await asyncio.gather(*calls)

        assert {answer.status_code for answer in answers} <= {201, 202}
        for answer in answers:
            task = await finished_task(client, answer.headers["task-id"])
            assert task["status"] == "succeeded", task


async def test_without_postgresql_a_call_is_503_until_it_is_back(running: Running):
    async with caller(running.proxy.url) as client:
        parked = await create_client(client, new_email("slow+3"), prefer="wait=0")
        running.postgresql.stop()

        away = await create_client(client, new_email())
        assert away.status_code == 503
        assert away.headers["content-type"] == "application/problem+json"
        assert away.json()["type"] == DATABASE_AWAY
        assert int(away.headers["retry-after"]) >= 1
        reading = await client.get(f"/tasks/{parked.headers['task-id']}")
        assert (reading.status_code, reading.json()["type"]) == (503, DATABASE_AWAY)
        await eventually(lambda: _health(running, "/readyz", 503))
        await _health(running, "/healthz", 200)
        assert (await client.get("/ping")).status_code == 503

        running.postgresql.start()

        await eventually(lambda: _health(running, "/readyz", 200))
        task = await finished_task(client, parked.headers["task-id"])
        assert task["status"] == "succeeded", task
        await eventually(lambda: _answers(client, 201))


async def test_a_call_that_postgresql_leaves_in_the_lurch_is_answered(running: Running):
    async with caller(running.proxy.url) as client:
        call = asyncio.ensure_future(create_client(client, new_email("slow+1"), prefer="wait=3"))
        await eventually(lambda: _has_running(client))
        running.postgresql.kill()
        running.postgresql.start()

        answer = await call

        assert answer.status_code in {201, 202}
        task = await finished_task(client, answer.headers["task-id"])
        assert task["status"] == "succeeded", task


async def test_a_rabbitmq_that_hangs_leaves_callers_a_task(running: Running):
    async with caller(running.proxy.url) as client:
        with running.rabbitmq.frozen():
            answers = await asyncio.gather(
                *(create_client(client, new_email(), prefer="wait=1") for _ in range(5))
            )

        assert [answer.status_code for answer in answers] == [202] * 5
        for answer in answers:
            task = await finished_task(client, answer.headers["task-id"])
            assert (task["status"], task["response"]["status"]) == ("succeeded", 201), task
        await eventually(lambda: _answers(client, 201))


async def test_a_postgresql_that_hangs_is_503_and_goes_on_where_it_was(running: Running):
    async with caller(running.proxy.url) as client:
        parked = await create_client(client, new_email("slow+1"), prefer="wait=0")
        with running.postgresql.frozen():
            away = await create_client(client, new_email())
            assert (away.status_code, away.json()["type"]) == (503, DATABASE_AWAY)

        task = await finished_task(client, parked.headers["task-id"])
        assert task["status"] == "succeeded", task
        await eventually(lambda: _answers(client, 201))


def test_nothing_of_all_this_ended_a_process_or_was_a_fault(running: Running):
    assert [service.name for service in running.services if not service.is_running] == []
    assert [fault for service in running.services for fault in service.faults] == []


async def _ping_says(client: httpx.AsyncClient, status: str) -> None:
    assert (await client.get("/ping")).json()["status"] == status


async def _health(running: Running, path: str, status: int) -> None:
    async with caller(running.proxy.health_url) as client:
        assert (await client.get(path)).status_code == status


async def _answers(client: httpx.AsyncClient, status: int) -> None:
    assert (await create_client(client, new_email(), prefer="wait=2")).status_code == status


async def _has_running(client: httpx.AsyncClient) -> None:
    assert '"running"' in (await client.get("/tasks?status=running")).text
