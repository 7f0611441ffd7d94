"""RabbitMQ that is away, restarted or hangs, and how a service connects and leaves."""

import asyncio
import json
import time
from contextlib import ExitStack

import aiormq
import pytest
import structlog

from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.broker.rabbitmq_connection import ReconnectingConnection, _describe, backoff_seconds
from asynctasks.errors import BrokerUnavailableError
from asynctestkit.broker_users import (
    SharedQueue,
    consuming,
    ctl,
    message,
    open_broker,
    published,
    reply,
)
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.servers import RabbitmqServer


async def test_a_start_without_the_broker_goes_on_and_connects_when_it_comes(
    server: RabbitmqServer, prefix: str
):
    server.kill()
    shared = SharedQueue()
    started = time.monotonic()
    async with (
        open_broker(server, prefix) as broker,
        broker.shared_reply_queue(shared.arrived.append, on_restored=shared.count) as name,
        consuming(broker) as executor,
    ):
        assert time.monotonic() - started < 15
        assert not broker.is_connected
        with pytest.raises(BrokerUnavailableError):
            await broker.publish("clients", message(1))
        with pytest.raises(BrokerUnavailableError):
            await broker.ping()
        with pytest.raises(BrokerUnavailableError):
            async with broker.temporary_reply_queue(shared.arrived.append):
                pass
        await broker.reply(name, reply())
        assert time.monotonic() - started < 19
        server.start()  # by this thread: the server ends with the one that started it
        await published(broker, 2)
        await executor.has(2)
        await shared.is_restored(beyond=0)
        await shared.gets(broker, name)


async def test_all_goes_on_after_a_restart_under_the_same_names(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    shared = SharedQueue()
    async with (
        broker.shared_reply_queue(shared.arrived.append, on_restored=shared.count) as name,
        consuming(broker) as executor,
    ):
        await shared.gets(broker, name)
        restored = shared.restored
        await asyncio.to_thread(server.stop)

        def noticed() -> None:
            assert not broker.is_connected

        await eventually(noticed)
        began = time.monotonic()
        with pytest.raises(BrokerUnavailableError):
            await broker.publish("clients", message(1))
        assert time.monotonic() - began < 10
        server.start()  # by this thread: the server ends with the one that started it
        await shared.is_restored(beyond=restored)
        await published(broker, 2)
        await executor.has(2)
        await shared.gets(broker, name)


async def test_all_goes_on_after_rabbitmq_closed_every_connection(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    shared = SharedQueue()
    async with (
        broker.shared_reply_queue(shared.arrived.append, on_restored=shared.count) as name,
        consuming(broker) as executor,
    ):
        restored = shared.restored
        await ctl(server, "close_all_connections", "test")
        await shared.is_restored(beyond=restored)
        await published(broker, 1)
        await executor.has(1)
        await shared.gets(broker, name)


async def test_a_thousandth_failure_waits_as_long_as_the_tenth():
    assert backoff_seconds(0) == 0.1
    assert backoff_seconds(10) == backoff_seconds(100_000) == 5.0


async def test_leaving_while_the_broker_hangs_takes_seconds_and_raises_nothing(
    server: RabbitmqServer, prefix: str
):
    with ExitStack() as hanging:
        async with (
            open_broker(server, prefix, publish_seconds=0.5) as broker,
            broker.shared_reply_queue(lambda _: None, on_restored=lambda: None),
        ):
            assert broker.is_connected
            hanging.enter_context(server.frozen())
            began = time.monotonic()
            with pytest.raises(BrokerUnavailableError):
                await broker.publish("clients", message(1))
    assert time.monotonic() - began < 30


async def test_a_caller_that_is_cancelled_inside_the_broker_leaves_with_its_cancellation(
    server: RabbitmqServer, prefix: str
):
    inside = asyncio.Event()

    async def service() -> None:
        async with (
            open_broker(server, prefix) as broker,
            broker.shared_reply_queue(lambda _: None, on_restored=lambda: None),
            broker.temporary_reply_queue(lambda _: None),
            consuming(broker),
        ):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(service())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await task


async def test_a_wrong_password_is_told_and_waited_for(server: RabbitmqServer, prefix: str):
    url = server.url.replace("guest:guest", "guest:wrong")
    with structlog.testing.capture_logs() as logs:
        broker = RabbitmqBroker(url, queues=["clients"], prefix=prefix, publish_seconds=1)
        async with broker:
            assert not broker.is_connected
    assert any("ProbableAuthenticationError" in str(entry.get("reason")) for entry in logs)
    assert "wrong" not in json.dumps(logs)


async def test_a_fault_in_setting_up_ends_the_connection_rather_than_being_tried_for_ever(
    server: RabbitmqServer,
):
    async def set_up(connection: object) -> list[aiormq.abc.AbstractChannel]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await ReconnectingConnection(server.url, name="faulty", set_up=set_up).run()


async def test_a_link_without_heartbeats_is_called_so():
    assert _describe(asyncio.CancelledError()) == "silent for too long: no heartbeat came"
