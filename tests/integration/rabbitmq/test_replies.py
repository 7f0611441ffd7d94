"""Reply queues: what travels together, and what is left when callers go away."""

import asyncio
from typing import Any

import pytest
import structlog

from asynctasks.broker.messages import Reply, ReplyInRow, packed
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctestkit.broker_users import (
    SharedQueue,
    ctl,
    open_broker,
    reply,
)
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.new_objects import new_objects, only_new_objects
from asynctestkit.servers import RabbitmqServer


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


async def test_temporary_reply_queues_leave_nothing_on_the_broker_nor_in_memory(
    broker: RabbitmqBroker, server: RabbitmqServer
):
    async def one(number: int) -> None:
        arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        async with broker.temporary_reply_queue(arrived.set_result) as name:
            await broker.reply(name, reply(number))
            assert (await asyncio.wait_for(arrived, PATIENCE_SECONDS)).task_id.int == number

    channel = broker._unconfirmed
    assert channel is not None

    def nothing_left() -> None:
        assert channel.consumers == {}
        assert len(broker._tasks._tasks) == 1  # the connection's own

    await asyncio.gather(*(one(number) for number in range(20)))
    await eventually(nothing_left)
    with only_new_objects():
        for start in range(0, 600, 50):
            await asyncio.gather(*(one(number) for number in range(start, start + 50)))
        await eventually(nothing_left)
        assert broker._unconfirmed is channel
        # One of each task's would be seen; asyncio leaves up to 100 cancelled timers in place.
        assert len(new_objects()) < 600
    names = (await ctl(server, "list_queues", "name")).split()
    assert [name for name in names if ".replies." in name] == []


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


async def test_the_broker_ends_though_a_caller_never_leaves_its_reply_queue(
    server: RabbitmqServer, prefix: str
):
    waiting = asyncio.Event()

    async def caller(broker: RabbitmqBroker) -> None:
        async with broker.temporary_reply_queue(lambda _: None):
            waiting.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE_SECONDS):
        async with open_broker(server, prefix) as broker:
            task = asyncio.create_task(caller(broker))
            await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
