"""Queues that are deleted, not declared, or declared otherwise."""

import time

import aio_pika
import pytest
import structlog

from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import BrokerUnavailableError, MessageReturnedError
from asynctestkit.broker_users import (
    connected,
    consuming,
    delete_queue,
    message,
    published,
)
from asynctestkit.ready import ready
from asynctestkit.servers import RabbitmqServer


async def test_a_message_whose_queue_was_deleted_comes_back_and_the_queue_is_declared_again(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    await delete_queue(server, broker.topology.queue_name("clients"))
    with pytest.raises(MessageReturnedError, match=broker.topology.queue_name("clients")):
        await broker.publish("clients", message(1))
    await published(broker, 2)
    await ready(broker, 1)


async def test_a_message_to_a_queue_that_nobody_declares_ends_no_connection(
    broker: RabbitmqBroker,
):
    before = broker._confirmed
    for _ in range(3):
        with pytest.raises(MessageReturnedError):
            await broker.publish("of-a-removed-operation", message(1))
    await broker.publish("clients", message(2))
    assert broker._confirmed is before


async def test_a_ping_that_finds_the_queue_deleted_has_it_declared_again(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    await delete_queue(server, broker.topology.queue_name("clients"))
    with pytest.raises(BrokerUnavailableError):
        await broker.ping()
    await connected(broker)


async def test_a_consumer_whose_queue_was_deleted_declares_it_again_within_seconds(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    async with consuming(broker) as executor:
        await delete_queue(server, broker.topology.queue_name("clients"))
        began = time.monotonic()
        await published(broker, 1)
        await executor.has(1)
        assert time.monotonic() - began < 15


async def test_a_queue_that_is_added_while_rabbitmq_is_away_is_there_once_it_is_back(
    server: RabbitmqServer, prefix: str
):
    broker = RabbitmqBroker(server.url, queues=["clients"], prefix=prefix, publish_seconds=20)
    with structlog.testing.capture_logs() as logs:
        await broker.add_queues({"late"})  # not connected yet
    assert [(entry["event"], entry["queues"]) for entry in logs] == [
        ("queues not declared yet", ["late"])
    ]
    async with broker:
        await connected(broker)
        await broker.publish("late", message(1))
        await ready(broker, 1, queue="late")


async def test_a_queue_with_other_arguments_is_told_by_name_and_stops_no_other(
    server: RabbitmqServer, prefix: str
):
    async with await aio_pika.connect(server.url) as other:
        channel = await other.channel()
        await channel.declare_queue(f"{prefix}.odd", durable=True)  # classic
    broker = RabbitmqBroker(
        server.url, queues=["odd", "clients"], prefix=prefix, publish_seconds=20
    )
    with structlog.testing.capture_logs() as logs:
        async with broker, consuming(broker) as executor:
            await broker.publish("clients", message(1))
            await executor.has(1)
            told = f"The queue {prefix}.odd exists with another x-"
            for _ in range(2):
                with pytest.raises(BrokerUnavailableError) as caught:
                    await broker.ping()
                assert caught.value.public.startswith(told)
            with pytest.raises(BrokerUnavailableError, match=told):
                await broker.publish("odd", message(2))
            assert broker.is_connected
            await delete_queue(server, f"{prefix}.odd")
            await connected(broker)
            await broker.publish("odd", message(3))
            assert await broker.count_ready("odd") == 1
    reasons = [entry["reason"] for entry in logs if entry["event"] == "queue cannot be used"]
    assert len(reasons) == 1
    assert "PRECONDITION_FAILED" in reasons[0]
