"""The relay over either database and either broker: nothing lost, nothing published for nothing."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import aiormq
import pytest
import structlog.testing
from sqlalchemy import update

from asyncproxy.relay.dead_leases import DeadLeases
from asyncproxy.relay.expiry import Expiry
from asyncproxy.relay.publish import Publish
from asyncproxy.relay.purge import Purge
from asyncproxy.relay.relay import relay_loops
from asyncproxy.settings import ProxySettings
from asynctasks.broker.in_memory import InMemoryBroker
from asynctasks.broker.messages import Reply, TaskMessage
from asynctasks.broker.protocol import Broker
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import BrokerUnavailableError
from asynctasks.instants import utc_now
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.new_task import NewTask
from asynctasks.statements.batch_steps import BatchSteps
from asynctasks.statements.batches import Batches
from asynctasks.statements.claims import Claimable
from asynctasks.statements.conditions import tasks
from asynctasks.statements.old_tasks import OldTasks
from asynctasks.statements.releases import HeldTasks
from asynctasks.statements.roster import Heartbeat, Roster, executors
from asynctasks.statements.upkeep import Upkeep
from asynctasks.task import TaskStatus
from asynctestkit.eventually import eventually
from asynctestkit.ready import ready
from asynctestkit.releasing import release, releases

MakeTask = Callable[..., NewTask]
QUEUES = ("clients", "good")
OpenParts = Callable[[str], AbstractAsyncContextManager[Any]]


def publish_of(parts: Any, broker: Broker, **given: Any) -> Publish:
    defaults: dict[str, Any] = {"queues": QUEUES, "grace_seconds": 30}
    return Publish(parts.store, Upkeep(parts.database), broker, **(defaults | given))


def purge_of(parts: Any, **given: Any) -> Purge:
    old_tasks, roster = OldTasks(parts.database), Roster(parts.database)
    held = HeldTasks(parts.database, grace_seconds=60)
    batches = Batches(parts.database)
    defaults: dict[str, Any] = {"operations": LiveOperations({}), "retention_seconds": 7 * 86_400}
    return Purge(old_tasks, roster, held, batches, **(defaults | given))


async def set_rows(parts: Any, **values: Any) -> None:
    async with parts.database.write() as connection:
        await connection.execute(update(tasks).values(**values))


async def add(parts: Any, new_task: MakeTask, count: int, **values: Any) -> list[NewTask]:
    news = [new_task(**values) for _ in range(count)]
    await asyncio.gather(*map(parts.store.add, news))
    return news


async def purge(broker: Broker, url: str) -> None:
    """Behind the back of all that use it."""
    assert isinstance(broker, RabbitmqBroker)
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel()
        await channel.queue_purge(broker.topology.queue_name("clients"))
    finally:
        await connection.close()


class RefusingBroker(InMemoryBroker):
    async def publish(self, queue: str, message: TaskMessage) -> None:
        if queue != "good":
            raise BrokerUnavailableError
        await super().publish(queue, message)


async def test_what_is_held_is_published_once(parts: Any, broker: Broker, new_task: MakeTask):
    await add(parts, new_task, 5)
    await add(parts, new_task, 2, publish_in_seconds=60)
    relay = releases(parts.database, broker)
    assert [(await relay.release(QUEUES)).released for _ in range(2)] == [5, 0]
    await eventually(lambda: _has_ready(broker, 5))


async def test_two_relays_at_once_publish_each_task_once(
    database_url: str, open_parts: OpenParts, new_task: MakeTask
):
    broker = InMemoryBroker()
    async with open_parts(database_url) as one, open_parts(database_url) as other:
        news = await add(one, new_task, 40)

        both = (releases(parts.database, broker) for parts in (one, other))
        await asyncio.gather(*(relay.release(QUEUES) for relay in both))
        published = [TaskMessage.decode(body).task_id for body in broker._ready["clients"]]
        assert sorted(published) == sorted(new.id for new in news)


async def test_executors_that_were_not_seen_for_an_hour_are_forgotten(parts: Any):
    purge = purge_of(parts)
    for name in ("alive", "killed"):
        await purge.roster.beat(
            Heartbeat(
                name=name,
                queue="clients",
                pod=None,
                concurrency=1,
                running=0,
                consuming=True,
                idle_seconds=0,
            )
        )
    async with parts.database.write() as connection:
        await connection.execute(
            update(executors)
            .where(executors.c.name == "killed")
            .values(seen_at=utc_now() - timedelta(seconds=3_610))
        )
    assert await purge.executors() is False
    assert [one.name for one in await purge.roster.of_queue("clients")] == ["alive"]


async def test_what_could_not_be_published_stays_due_and_the_rest_is_published(
    parts: Any, new_task: MakeTask
):
    await add(parts, new_task, 3)
    await add(parts, new_task, 2, queue="good")
    broker = RefusingBroker()
    with pytest.raises(BrokerUnavailableError):
        await releases(parts.database, broker).release(["clients", "good"])
    await ready(broker, 2, queue="good")
    again = await release(parts.database, queues=QUEUES)
    assert [task.queue for task in again] == ["clients"] * 3


@pytest.mark.parametrize("lost", [10, 4])
async def test_lost_messages_are_published_again_and_no_more_than_are_missing(
    parts: Any, amqp_url: str, queue_prefix: str, new_task: MakeTask, lost: int
):
    prefix = f"{queue_prefix}r"
    async with RabbitmqBroker(
        amqp_url, queues=["clients"], prefix=prefix, publish_seconds=20
    ) as broker:
        publish = publish_of(parts, broker)
        relay = releases(parts.database, broker)
        news = await add(parts, new_task, lost)
        await relay.release(QUEUES)
        await eventually(lambda: _has_ready(broker, lost))
        await purge(broker, amqp_url)
        await eventually(lambda: _has_ready(broker, 0))
        news += await add(parts, new_task, 10 - lost)
        await relay.release(QUEUES)
        await eventually(lambda: _has_ready(broker, 10 - lost))
        await publish.lost()
        await _has_ready(broker, 10 - lost)  # within their grace nothing is taken for lost
        await set_rows(parts, next_publish_at=utc_now() - timedelta(seconds=1))
        await publish.lost()
        await eventually(lambda: _has_ready(broker, 10))
        for _ in range(3):
            await set_rows(parts, next_publish_at=utc_now() - timedelta(seconds=1))
            await publish.lost()
        await _has_ready(broker, 10)


async def test_a_backlog_without_executors_is_not_published_again(
    parts: Any, broker: Broker, new_task: MakeTask
):
    news = await add(parts, new_task, 19)
    publish, relay = publish_of(parts, broker), releases(parts.database, broker)
    await relay.release(QUEUES)
    # One message more than there are tasks, as after a cancel.
    await broker.publish("clients", TaskMessage(news[0].id, "create-client"))
    await eventually(lambda: _has_ready(broker, 20))
    for _ in range(5):
        await set_rows(parts, next_publish_at=utc_now() - timedelta(seconds=1))
        await publish.lost()
        await relay.release(QUEUES)
    await _has_ready(broker, 20)


async def test_a_queue_without_messages_for_its_tasks_does_not_hide_behind_another(
    parts: Any, new_task: MakeTask
):
    broker = InMemoryBroker()
    await add(parts, new_task, 3, published=True, publish_in_seconds=0)
    for _ in range(10):
        await broker.publish("other", TaskMessage(new_task().id, "create-client"))
    await publish_of(parts, broker, queues=("clients", "other")).lost()
    await ready(broker, 3)


async def test_of_a_queue_that_no_operation_has_nothing_is_taken_for_lost(
    parts: Any, amqp_url: str, queue_prefix: str, new_task: MakeTask
):
    """RabbitMQ ends the connection of who asks for a queue that is not there."""
    async with RabbitmqBroker(
        amqp_url, queues=["clients"], prefix=f"{queue_prefix}n", publish_seconds=20
    ) as broker:
        await add(parts, new_task, 2, queue="nowhere", published=True, publish_in_seconds=0)
        await add(parts, new_task, 3, published=True, publish_in_seconds=0)
        assert len(await Upkeep(parts.database).overdue_queues()) == 2
        await publish_of(parts, broker, queues=("clients",)).lost()
        assert broker.is_connected
        await eventually(lambda: _has_ready(broker, 3))


async def test_a_running_relay_does_each_step_and_outlives_a_broker_that_refuses(
    parts: Any, new_task: MakeTask
):
    await add(parts, new_task, 1)
    (late,) = await add(parts, new_task, 1, deadline_seconds=0.1, delay_seconds=60)
    (dead,) = await add(parts, new_task, 1, queue="good")
    claimable = Claimable("good", {dead.operation: "own"})
    short = parts.claims("dead", lease_seconds=0.1, claimable=claimable)
    assert await short.claim(dead.id) is not None
    broker = RefusingBroker()
    settings = ProxySettings.read(
        {
            "database_url": "sqlite:///x.db",
            "broker_url": "memory://",
            "relay_interval_seconds": 0.05,
        }
    )
    loops = relay_loops(
        store=parts.store,
        upkeep=Upkeep(parts.database),
        roster=Roster(parts.database),
        held=HeldTasks(parts.database, grace_seconds=60),
        releases=releases(parts.database, broker),
        broker=broker,
        blobs=parts.blobs,
        settings=settings,
        queues=("clients", "good"),
        operations=LiveOperations({}),
        batches=Batches(parts.database),
        batch_steps=BatchSteps(database=parts.database, more_attempts=lambda _: 1),
        late_seconds=0.05,
    )

    async def all_done() -> None:
        assert (await parts.store.find(late.id)).status is TaskStatus.EXPIRED
        assert (await parts.store.find(dead.id)).interruptions == 1
        await ready(broker, 1, queue="good")

    running = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        await eventually(all_done)
        assert not any(task.done() for task in running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def test_who_waits_for_a_task_that_the_relay_ends_is_told(parts: Any, new_task: MakeTask):
    broker = InMemoryBroker()
    replies: list[Any] = []
    async with broker.temporary_reply_queue(replies.append) as name:
        (late,) = await add(parts, new_task, 1, reply_to=name)
        (dead,) = await add(parts, new_task, 1, reply_to=name)
        await parts.claims("dead").claim(dead.id)
        await parts.store.cancel(dead.id)
        past = utc_now() - timedelta(seconds=1)
        async with parts.database.write() as connection:
            for task_id, column in ((late.id, "deadline"), (dead.id, "lease_until")):
                statement = update(tasks).where(tasks.c.id == task_id)
                await connection.execute(statement.values({column: past}))
        await Expiry(Upkeep(parts.database), broker).expire()
        await DeadLeases(Upkeep(parts.database), broker).end()
        await asyncio.sleep(0)
    told: dict[Any, Reply] = {reply.task_id: reply for reply in replies}
    assert told[late.id].status is TaskStatus.EXPIRED
    error = told[late.id].error
    assert error is not None
    assert (error.type, error.status) == ("task-expired", 504)
    assert told[dead.id].status is TaskStatus.CANCELLED


async def test_old_tasks_are_forgotten_in_batches_and_the_log_says_how_many(
    parts: Any, new_task: MakeTask
):
    await add(parts, new_task, 5)
    await set_rows(parts, status=TaskStatus.FAILED, finished_at=utc_now() - timedelta(days=30))
    purge = purge_of(parts, batch=2)
    with structlog.testing.capture_logs() as logs:
        assert [await purge.tasks() for _ in range(3)] == [True, True, False]
        assert await purge.tasks() is False
    lines = [line for line in logs if line["event"] == "finished tasks forgotten"]
    assert [line["tasks"] for line in lines] == [2, 2, 1]


async def _has_ready(broker: Broker, count: int) -> None:
    await ready(broker, count)
