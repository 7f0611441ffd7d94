"""RabbitMQ as it goes wrong: away, restarted, blocked, its queues deleted or declared otherwise."""

import asyncio
import gc
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import UUID, uuid4

import aio_pika
import aiormq
import pytest
import structlog

import asynctasks.broker.rabbitmq_acks
from asynctasks.broker.messages import Reply, ReplyInRow, TaskMessage, packed
from asynctasks.broker.protocol import Delivery
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.broker.rabbitmq_connection import ReconnectingConnection, backoff_seconds
from asynctasks.errors import BrokerUnavailableError, MessageReturnedError
from asynctasks.response import Response
from asynctasks.task import TaskStatus
from asynctestkit.eventually import eventually
from asynctestkit.ready import ready
from asynctestkit.servers import RabbitmqServer


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitmqServer]:
    """Private, because tests here end it; each leaves it running and unblocked."""
    with RabbitmqServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return f"t{uuid4().hex[:8]}"


@pytest.fixture
async def broker(server: RabbitmqServer, prefix: str) -> AsyncIterator[RabbitmqBroker]:
    async with open_broker(server, prefix) as broker:
        assert broker.is_connected
        yield broker


def open_broker(
    server: RabbitmqServer, prefix: str, *, publish_seconds: float = 5
) -> RabbitmqBroker:
    return RabbitmqBroker(
        server.url, queues=["clients"], prefix=prefix, publish_seconds=publish_seconds
    )


def message(number: int) -> TaskMessage:
    return TaskMessage(UUID(int=number), "create-client")


def reply(number: int = 0, *, size: int = 2) -> Reply:
    response = Response(200, "text/plain", b"x" * size)
    return Reply(UUID(int=number), TaskStatus.SUCCEEDED, response)


async def ctl(server: RabbitmqServer, *args: str) -> str:
    return await asyncio.to_thread(server.ctl, *args)


async def connected(broker: RabbitmqBroker) -> None:
    async def check() -> None:
        try:
            await broker.ping()
        except BrokerUnavailableError as error:
            raise AssertionError("not yet") from error

    await eventually(check, timeout_seconds=30)


async def published(broker: RabbitmqBroker, number: int) -> None:
    """Publishes as the relay does: again, until it is confirmed."""

    async def attempt() -> None:
        try:
            await broker.publish("clients", message(number))
        except BrokerUnavailableError as error:
            raise AssertionError("not yet") from error

    await eventually(attempt, timeout_seconds=30)


class Executor:
    """Acks each delivery at once and remembers its number."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._acks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._acks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._acks.__aexit__(None, None, None)

    def __call__(self, delivery: Delivery) -> None:
        self.numbers.append(TaskMessage.decode(delivery.body).task_id.int)
        self._acks.create_task(delivery.ack())

    async def has(self, number: int) -> None:
        def check() -> None:
            assert number in self.numbers

        await eventually(check, timeout_seconds=30)


@asynccontextmanager
async def consuming(broker: RabbitmqBroker) -> AsyncIterator[Executor]:
    async with (
        Executor() as executor,
        broker.consume("clients", prefetch=10, on_delivery=executor),
    ):
        yield executor


class SharedQueue:
    """A proxy's reply queue, and how often it was said to be restored."""

    def __init__(self) -> None:
        self.arrived: list[Reply | ReplyInRow] = []
        self.restored = 0

    def count(self) -> None:
        self.restored += 1

    async def is_restored(self, *, beyond: int) -> None:
        def check() -> None:
            assert self.restored > beyond

        await eventually(check, timeout_seconds=30)

    async def gets(self, broker: RabbitmqBroker, name: str) -> None:
        sent = reply(len(self.arrived))

        async def check() -> None:
            await broker.reply(name, sent)
            await asyncio.sleep(0.05)
            assert sent in self.arrived

        await eventually(check, timeout_seconds=30)


async def test_replies_of_one_turn_travel_together_and_arrive_in_order(broker: RabbitmqBroker):
    shared = SharedQueue()
    other = SharedQueue()
    async with (
        broker.shared_reply_queue(shared.arrived.append, on_restored=shared.count) as name,
        broker.shared_reply_queue(other.arrived.append, on_restored=other.count) as other_name,
    ):
        channel = broker._unconfirmed
        assert channel is not None
        before = channel.delivery_tag
        replies = [reply(number, size=number) for number in range(100)]
        await asyncio.gather(
            *(broker.reply(name if n % 2 else other_name, replies[n]) for n in range(100))
        )
        assert channel.delivery_tag - before == 2

        def there() -> None:
            assert shared.arrived == replies[1::2]
            assert other.arrived == replies[::2]

        await eventually(there)


async def test_a_reply_that_cannot_be_read_costs_no_other(broker: RabbitmqBroker):
    shared = SharedQueue()
    async with broker.shared_reply_queue(shared.arrived.append, on_restored=shared.count) as name:
        channel = broker._unconfirmed
        assert channel is not None
        (pack,) = packed([reply(1).encode(), b"garbage", reply(2).encode()])
        with structlog.testing.capture_logs() as logs:
            await channel.basic_publish(pack + b"\0", routing_key=name)

            def there() -> None:
                assert shared.arrived == [reply(1), reply(2)]

            await eventually(there)
        assert [entry["event"] for entry in logs] == ["reply dropped"] * 2


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
        assert time.monotonic() - started < 5
        assert not broker.is_connected
        with pytest.raises(BrokerUnavailableError):
            await broker.publish("clients", message(1))
        with pytest.raises(BrokerUnavailableError):
            await broker.ping()
        with pytest.raises(BrokerUnavailableError):
            async with broker.temporary_reply_queue(shared.arrived.append):
                pass
        await broker.reply(name, reply())
        assert time.monotonic() - started < 6
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
        assert time.monotonic() - began < 0.5
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


async def test_a_consumer_whose_channel_was_closed_goes_on(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    held: list[Delivery] = []
    async with broker.consume("clients", prefetch=10, on_delivery=held.append):
        await broker.publish("clients", message(1))

        def delivered(count: int) -> None:
            assert len(held) == count

        await eventually(lambda: delivered(1))
        # A tag that was never given: RabbitMQ closes the channel, as after a consumer timeout.
        await held[0]._acks.channel.basic_ack(99_999)  # type: ignore[attr-defined]
        await eventually(lambda: delivered(2))
        await held[0].ack()  # of the channel that is gone: silent
        await held[1].ack()
    await ready(broker, 0)


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


async def test_while_rabbitmq_blocks_publishers_they_time_out_and_consumers_ack(
    server: RabbitmqServer, prefix: str
):
    async with open_broker(server, prefix, publish_seconds=0.3) as broker:
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
                *(broker.reply("nobody", reply(size=100_000)) for n in range(100)),
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


async def test_a_thousandth_failure_waits_as_long_as_the_tenth():
    assert backoff_seconds(0) == 0.1
    assert backoff_seconds(10) == backoff_seconds(100_000) == 5.0


async def test_temporary_reply_queues_leave_nothing_on_the_broker_nor_in_memory(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    async def one(number: int) -> None:
        arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        async with broker.temporary_reply_queue(arrived.set_result) as name:
            await broker.reply(name, reply(number))
            assert (await asyncio.wait_for(arrived, 10)).task_id.int == number

    channel = broker._unconfirmed
    assert channel is not None

    def nothing_left() -> None:
        assert channel.consumers == {}
        assert len(broker._tasks._tasks) == 1  # the connection's own

    await asyncio.gather(*(one(number) for number in range(20)))
    await eventually(nothing_left)
    before = living_objects()
    for start in range(0, 200, 50):
        await asyncio.gather(*(one(number) for number in range(start, start + 50)))
    await eventually(nothing_left)
    assert broker._unconfirmed is channel
    assert living_objects() - before < 200  # one of each task's would be seen
    names = (await ctl(server, "list_queues", "name")).split()
    assert [name for name in names if ".replies." in name] == []


def living_objects() -> int:
    gc.collect()
    return len(gc.get_objects())


async def test_callers_cancelled_while_their_reply_queue_opens_leave_the_others_theirs(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    arrived: list[Reply | ReplyInRow] = []
    channel = broker._unconfirmed

    async def caller() -> None:
        async with broker.temporary_reply_queue(arrived.append):
            await asyncio.Event().wait()

    async with broker.temporary_reply_queue(arrived.append) as mine:
        for steps in range(20):
            task = asyncio.create_task(caller())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        def only_mine() -> None:
            assert len(broker._tasks._tasks) == 2  # the connection's own and my queue's

        await eventually(only_mine)
        for steps in range(8):
            ping = asyncio.create_task(broker.ping())
            for _ in range(steps):
                await asyncio.sleep(0)
            ping.cancel()
            await asyncio.wait([ping])
        await broker.reply(mine, reply(7))

        def there() -> None:
            assert arrived == [reply(7)]

        await eventually(there)
    assert broker._unconfirmed is channel

    async def none_left() -> None:
        names = (await ctl(server, "list_queues", "name")).split()
        assert [name for name in names if ".replies." in name] == []

    await eventually(none_left)


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
                await asyncio.sleep(0.01)

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


async def test_acks_on_a_connection_that_dies_return(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    held: list[Delivery] = []
    async with broker.consume("clients", prefetch=100, on_delivery=held.append):
        await asyncio.gather(*(broker.publish("clients", message(n)) for n in range(100)))

        def all_there() -> None:
            assert len(held) == 100

        await eventually(all_there)
        await asyncio.to_thread(server.kill)
        async with asyncio.timeout(15):
            await asyncio.gather(*(delivery.release() for delivery in held))
    server.start()  # by this thread: the server ends with the one that started it


async def test_an_ack_that_nobody_writes_any_more_returns(
    broker: RabbitmqBroker, monkeypatch: pytest.MonkeyPatch
):
    """As on a connection whose writer has ended and that aiormq has not yet closed."""
    monkeypatch.setattr(asynctasks.broker.rabbitmq_acks, "SETTLE_SECONDS", 0.1)
    held: list[Delivery] = []
    async with broker.consume("clients", prefetch=1, on_delivery=held.append):
        await broker.publish("clients", message(1))

        def delivered() -> None:
            assert held

        await eventually(delivered)
        channel: Any = held[0]._acks.channel  # type: ignore[attr-defined]
        written, channel.write_queue = channel.write_queue, asyncio.Queue(maxsize=1)
        channel.write_queue.put_nowait(None)
        async with asyncio.timeout(5):
            await held[0].ack()
            await held[0].release()
        channel.write_queue = written


async def test_leaving_while_the_broker_hangs_takes_seconds_and_raises_nothing(
    server: RabbitmqServer, prefix: str
):
    pid = server._processes[-1].pid
    began = 0.0
    try:
        async with (
            open_broker(server, prefix, publish_seconds=0.5) as broker,
            broker.shared_reply_queue(lambda _: None, on_restored=lambda: None),
        ):
            assert broker.is_connected
            os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(BrokerUnavailableError):
                await broker.publish("clients", message(1))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert time.monotonic() - began < 8


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
        async with asyncio.timeout(10):
            await task


async def test_the_broker_ends_though_a_caller_never_leaves_its_reply_queue(
    server: RabbitmqServer, prefix: str
):
    waiting = asyncio.Event()

    async def caller(broker: RabbitmqBroker) -> None:
        async with broker.temporary_reply_queue(lambda _: None):
            waiting.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(10):
        async with open_broker(server, prefix) as broker:
            task = asyncio.create_task(caller(broker))
            await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
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
        async with asyncio.timeout(10):
            await ReconnectingConnection(server.url, name="faulty", set_up=set_up).run()


async def delete_queue(server: RabbitmqServer, name: str) -> None:
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(name)
