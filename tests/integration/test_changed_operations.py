"""Proxies and executors that take over other operations, each in its own time."""

from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest

from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import SealingKeyMissingError
from asynctasks.operations.operation import Operation
from asynctestkit.calls import finished_task, get_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, by_name, inside, operation
from asynctestkit.ready import ready

FIRST, SECOND = operation(maxQueued=1_000), operation(maxQueued=2_000)
LATE = operation("late", queue="late")


@pytest.fixture
async def quick(sqlite_url: str) -> AsyncIterator[Inside]:
    async with inside(
        FIRST, database_url=sqlite_url, broker_url="memory://", relay_interval_seconds=0.05
    ) as installation:
        yield installation


async def test_an_executor_that_learns_an_operation_runs_what_it_had_put_back(quick: Inside):
    proxy, executor = await quick.proxy(), await quick.executor()
    client = await quick.client(proxy)
    await proxy.operations.change(by_name([FIRST, operation("newer")]))
    task_id = (await client.post("/newer", json={}, headers=ASYNC)).headers["task-id"]
    assert (await client.post("/create-client", json={})).status_code == 201
    assert (await get_task(client, task_id))["status"] == "queued"
    await executor.operations.change(by_name([FIRST, operation("newer")]))
    task = await finished_task(client, task_id)
    assert (task["status"], task["attempt"]) == ("succeeded", 1)


async def test_an_executor_ahead_of_the_proxy_runs_its_calls_at_once(quick: Inside):
    proxy, executor = await quick.proxy(), await quick.executor()
    client = await quick.client(proxy)
    await executor.operations.change(by_name([SECOND]))
    for _ in range(3):
        answer = await client.post("/create-client", json={}, headers={"Prefer": "wait=10"})
        assert answer.status_code == 201


@pytest.mark.parametrize(
    ("behind", "status"), [(FIRST, 202), (SECOND, 201)], ids=["does not know it", "knows it"]
)
async def test_an_executor_behind_the_proxy_leaves_its_calls_to_others(
    quick: Inside, behind: Operation, status: int
):
    proxy = await quick.proxy()
    client = await quick.client(proxy)
    await quick.executor(behind)
    await proxy.operations.change(by_name([SECOND]))
    answer = await client.post("/create-client", json={}, headers={"Prefer": "wait=1"})
    assert answer.status_code == status
    task = await get_task(client, answer.headers["task-id"])
    assert task["attempt"] == (0 if status == 202 else 1)


async def test_what_waits_for_a_removed_operation_runs_once_it_is_back(quick: Inside):
    proxy = await quick.proxy()
    client = await quick.client(proxy)
    both = by_name([FIRST, operation("gone")])
    await proxy.operations.change(both)
    tasks = [(await client.post("/gone", json={}, headers=ASYNC)) for _ in range(5)]
    await proxy.operations.change(by_name([FIRST]))
    executor = await quick.executor()
    assert (await client.post("/create-client", json={})).status_code == 201
    assert (await client.post("/gone", json={})).status_code == 404
    ids = [answer.headers["task-id"] for answer in tasks]
    assert {(await get_task(client, each))["status"] for each in ids} == {"queued"}
    for each in (proxy, executor):
        await each.operations.change(both)
    ended = [await finished_task(client, each) for each in ids]
    assert {(task["status"], task["attempt"]) for task in ended} == {("succeeded", 1)}


async def test_secret_arguments_are_refused_by_whoever_has_no_key_and_all_goes_on(
    sqlite_url: str,
):
    plain = operation(arguments={"type": "object"})
    async with inside(
        plain, database_url=sqlite_url, broker_url="memory://", sealing_keys=""
    ) as installation:
        proxy, executor = await installation.proxy(), await installation.executor()
        client = await installation.client(proxy)
        assert (await client.post("/create-client", json={})).status_code == 201
        for each in (proxy, executor):
            with pytest.raises(SealingKeyMissingError, match="newer"):
                await each.operations.change(by_name([plain, operation("newer")]))
        assert (await client.post("/newer", json={})).status_code == 404
        assert (await client.post("/create-client", json={})).status_code == 201


async def test_a_new_queue_is_declared_before_the_first_call_and_its_messages_are_seen_to(
    postgresql_url: str, amqp_url: str, queue_prefix: str
):
    async with inside(
        FIRST,
        database_url=postgresql_url,
        broker_url=amqp_url,
        broker_prefix=f"{queue_prefix}n",
        relay_interval_seconds=0.05,
        publish_grace_seconds=1,
    ) as installation:
        proxy = await installation.proxy()
        client = await installation.client(proxy)
        await proxy.operations.change(by_name([FIRST, LATE]))
        broker: Any = proxy.connections.broker
        assert isinstance(broker, RabbitmqBroker)
        assert await broker.count_ready("late") == 0
        assert (await client.post("/late", json={}, headers=ASYNC)).status_code == 202
        await ready(broker, 1, queue="late")
        await purge(amqp_url, broker.topology.queue_name("late"))
        deliveries: list[Any] = []
        async with broker.consume("late", prefetch=1, on_delivery=deliveries.append):

            def published_anew() -> None:
                assert deliveries

            await eventually(published_anew)


async def purge(amqp_url: str, queue: str) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await (await channel.get_queue(queue)).purge()
