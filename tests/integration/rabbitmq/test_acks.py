"""Acks on channels and connections that are closed, dead or no longer written to."""

import asyncio
from typing import Any

from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctestkit.broker_users import (
    message,
)
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.ready import ready
from asynctestkit.servers import RabbitmqServer


async def test_a_consumer_whose_channel_was_closed_goes_on(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    held: list[Any] = []
    async with broker.consume("clients", prefetch=10, on_delivery=held.append):
        await broker.publish("clients", message(1))

        def delivered(count: int) -> None:
            assert len(held) == count

        await eventually(lambda: delivered(1))
        # A tag that was never given: RabbitMQ closes the channel, as after a consumer timeout.
        await held[0]._acks.channel.basic_ack(99_999)
        await eventually(lambda: delivered(2))
        await held[0].ack()  # of the channel that is gone: silent
        await held[1].ack()
    await ready(broker, 0)


async def test_acks_on_a_connection_that_dies_return(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    held: list[Any] = []
    async with broker.consume("clients", prefetch=100, on_delivery=held.append):
        await asyncio.gather(*(broker.publish("clients", message(n)) for n in range(100)))

        def all_there() -> None:
            assert len(held) == 100

        await eventually(all_there)
        await asyncio.to_thread(server.kill)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(delivery.release() for delivery in held))
    server.start()  # by this thread: the server ends with the one that started it
