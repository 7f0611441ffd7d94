"""Publishers that are cancelled, blocked, or whose connection ends under them."""

import asyncio
import time
from typing import Any

import pytest

from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import BrokerUnavailableError
from asynctestkit.broker_users import (
    connected,
    consuming,
    ctl,
    message,
    open_broker,
    published,
    reply,
)
from asynctestkit.eventually import eventually
from asynctestkit.ready import ready
from asynctestkit.servers import RabbitmqServer


async def test_while_rabbitmq_blocks_publishers_they_time_out_and_consumers_ack(
    server: RabbitmqServer, prefix: str
):
    async with open_broker(server, prefix, publish_seconds=2) as broker:
        await broker.publish("clients", message(1))
        await broker.publish("clients", message(2))
        await ctl(server, "set_vm_memory_high_watermark", "0.0000001")
        try:
            await blocked(broker)
            async with consuming(broker) as executor:
                await executor.has(1)
                await executor.has(2)
            with pytest.raises(BrokerUnavailableError):
                await broker.ping()
            with pytest.raises(BrokerUnavailableError):
                async with broker.temporary_reply_queue(lambda _: None):
                    pass
            # Nothing piles up on our side, however much is tried.
            before = written(broker)
            results = await asyncio.gather(
                *(broker.publish("clients", message(n)) for n in range(100, 400)),
                *(broker.reply("nobody", reply(size=100_000)) for _ in range(100)),
                return_exceptions=True,
            )
            assert all(
                isinstance(result, BrokerUnavailableError) or result is None for result in results
            )
            assert written(broker) == before
        finally:
            await ctl(server, "set_vm_memory_high_watermark", "0.4")
        await published(broker, 3)
        await connected(broker)
        # The publish that met the block may be there too: whether it was taken was unknown.
        await ready(broker, (1, 2))


async def test_under_an_alarm_only_the_first_publisher_waits(server: RabbitmqServer, prefix: str):
    async with open_broker(server, prefix, publish_seconds=2) as broker:
        await ctl(server, "set_vm_memory_high_watermark", "0.0000001")
        try:
            await blocked(broker)
            began = time.monotonic()
            assert not broker.is_connected
            for number in range(5):
                with pytest.raises(BrokerUnavailableError):
                    await broker.publish("clients", message(number))
            with pytest.raises(BrokerUnavailableError):
                async with broker.temporary_reply_queue(lambda _: None):
                    pass
            with pytest.raises(BrokerUnavailableError, match="short of memory or disk"):
                await broker.ping()
            assert time.monotonic() - began < 1.9
        finally:
            await ctl(server, "set_vm_memory_high_watermark", "0.4")
        await published(broker, 9)

        def usable() -> None:
            assert broker.is_connected

        await eventually(usable)


async def test_of_a_broker_that_has_fallen_silent_only_the_first_publisher_waits(
    server: RabbitmqServer, prefix: str
):
    async with open_broker(server, prefix, publish_seconds=2) as broker:
        with server.frozen():
            with pytest.raises(BrokerUnavailableError):
                await broker.publish("clients", message(1))
            assert not broker.is_connected
            began = time.monotonic()
            for number in range(5):
                with pytest.raises(BrokerUnavailableError, match="confirms nothing at present"):
                    await broker.publish("clients", message(number))
            assert time.monotonic() - began < 1.9
        await published(broker, 2)
        assert broker.is_connected


async def blocked(broker: RabbitmqBroker) -> None:
    """RabbitMQ blocks a connection when it first publishes under the alarm."""

    async def check() -> None:
        with pytest.raises(BrokerUnavailableError):
            await broker.publish("clients", message(99))
        assert broker._confirmed is not None
        connection: Any = broker._confirmed.connection
        assert not connection._Connection__connection_unblocked.is_set()

    await eventually(check)


def written(broker: RabbitmqBroker) -> int:
    """How many publishes were handed to aiormq on the current connection."""
    assert broker._confirmed is not None
    assert broker._unconfirmed is not None
    return broker._confirmed.delivery_tag + broker._unconfirmed.delivery_tag


async def test_a_cancelled_publisher_is_cancelled_and_the_others_are_confirmed(
    broker: RabbitmqBroker,
):
    publishers = [asyncio.create_task(broker.publish("clients", message(n))) for n in range(100)]
    await asyncio.sleep(0)
    for publisher in publishers[::2]:
        publisher.cancel()
    results = await asyncio.gather(*publishers, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert results[1::2] == [None] * 50
    await ready(broker, range(50, 200))


async def test_a_connection_that_ends_under_publishers_fails_them_without_cancelling_them(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    outcomes: list[BaseException | None] = []

    async def publisher(number: int) -> None:
        while len(outcomes) < 40:
            try:
                await broker.publish("clients", message(number))
            except BaseException as error:  # noqa: BLE001 - which it is, is what we ask
                outcomes.append(error)
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(publisher(number))
        await asyncio.to_thread(server.kill)
    assert {type(outcome) for outcome in outcomes} == {BrokerUnavailableError}
    server.start()  # by this thread: the server ends with the one that started it


@pytest.mark.parametrize("reason", [None, asyncio.CancelledError])
async def test_a_connection_that_ends_without_a_reason_is_the_brokers_absence(
    broker: RabbitmqBroker, reason: Any
):
    """Without one aiormq fails whoever waits with a bare Exception, or cancels it."""
    assert broker._confirmed is not None
    connection: Any = broker._confirmed.connection
    frozen = asyncio.create_task(broker.publish("clients", message(1)))
    await asyncio.sleep(0)
    await connection._cancel_tasks(reason)
    with pytest.raises(BrokerUnavailableError):
        await frozen
