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
    open_broker,
    published,
)
from asynctestkit.eventually import eventually
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
        assert time.monotonic() - began < 5


async def test_a_queue_with_other_arguments_is_told_again_and_again_and_ends_nothing(
    server: RabbitmqServer, prefix: str
):
    async with await aio_pika.connect(server.url) as other:
        channel = await other.channel()
        await channel.declare_queue(f"{prefix}.clients", durable=True)  # classic
    with structlog.testing.capture_logs() as logs:
        async with open_broker(server, prefix) as broker, consuming(broker) as executor:

            def told_twice(connection: str) -> None:
                reasons = [
                    entry["reason"]
                    for entry in logs
                    if entry["event"] == "broker connection ended"
                    and entry["connection"] == connection
                ]
                assert len(reasons) >= 2
                assert [reason for reason in reasons if "PRECONDITION_FAILED" not in reason] == []
                assert prefix in reasons[-1]

            await eventually(lambda: told_twice("publish"))
            await eventually(lambda: told_twice("consume clients"))
            with pytest.raises(BrokerUnavailableError):
                await broker.publish("clients", message(1))
            await delete_queue(server, f"{prefix}.clients")
            await published(broker, 2)
            await executor.has(2)
