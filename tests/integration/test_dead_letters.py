"""What an executor puts aside on RabbitMQ, and what it finishes although its channel was closed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiormq
import pytest
from sqlalchemy import update

from asynctasks.broker.messages import TaskMessage
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.statements.conditions import tasks
from asynctasks.task import new_task_id
from asynctestkit.calls import PROBLEMS, finished_task, get_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import (
    ASYNC,
    Inside,
    accepted,
    by_name,
    held,
    inside,
    one_of_each,
    operation,
)


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
        await broker._publish(broker.topology.task_exchange, "clients", body)
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


async def test_a_task_that_its_executor_does_not_know_waits_for_one_that_does(
    postgresql_url: str, amqp_url: str, queue_prefix: str
):
    async with inside(
        operation(),
        operation("newer", retry={"maxAttempts": 1}),
        database_url=postgresql_url,
        broker_url=amqp_url,
        broker_prefix=f"{queue_prefix}u",
        relay_interval_seconds=0.05,
    ) as installation:
        proxy = await installation.proxy()
        await installation.executor(operation())
        client = await installation.client(proxy)
        newer = await client.post("/newer", json={}, headers=ASYNC)
        assert (await client.post("/create-client", json={})).status_code == 201

        async def told() -> None:
            stranded = (await client.get("/ping")).json()["strandedQueues"]
            assert stranded == [{"queue": "clients", "reason": "no-operation", "tasks": 1}]

        task = await get_task(client, newer.headers["task-id"])
        assert (task["status"], task["attempt"], task["attempts"]) == ("queued", 0, [])
        await proxy.operations.change(by_name([operation()]))
        assert (await client.post("/newer", json={})).status_code == 404
        await eventually(told)
        await installation.executor(operation(), operation("newer", retry={"maxAttempts": 1}))
        task = await finished_task(client, newer.headers["task-id"])
        assert (task["status"], task["attempt"]) == ("succeeded", 1)
        assert await dead_letters(await _broker(installation), amqp_url) == []


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
    executor = await on_rabbitmq.executor(through=Observed)
    client = await on_rabbitmq.client(proxy)
    may_end = asyncio.Event()
    on_rabbitmq.upstream.will(held(may_end))
    call = asyncio.ensure_future(client.post("/create-client", json={}))

    def runs() -> None:
        assert on_rabbitmq.upstream.keys

    await eventually(runs)
    broker: Any = executor.connections.broker
    assert broker.is_connected
    closed = broker.consumption._acks.channel
    await closed.basic_ack(999_999, wait=False)

    def reopened() -> None:
        assert broker.consumption._acks.channel is not closed

    await eventually(reopened)
    may_end.set()
    answer = await call
    assert answer.status_code == 201
    task = await get_task(client, answer.headers["task-id"])
    assert (task["attempt"], len(on_rabbitmq.upstream.keys)) == (1, 1)
    assert (await client.post("/create-client", json={})).status_code == 201


class Observed:
    """A broker that shows what it consumes by."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self.consumption: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    @asynccontextmanager
    async def consume(self, queue: str, **given: Any) -> AsyncGenerator[Any]:
        async with self._broker.consume(queue, **given) as self.consumption:
            yield self.consumption


async def _broker(installation: Inside) -> RabbitmqBroker:
    broker = (await installation._connections({})).broker
    assert isinstance(broker, RabbitmqBroker)
    return broker
