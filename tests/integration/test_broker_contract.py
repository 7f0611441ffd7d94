"""What both brokers promise, each test on both."""

import asyncio
from uuid import UUID, uuid4

import pytest

from asynctasks.broker.in_memory import InMemoryBroker
from asynctasks.broker.messages import Reply, ReplyInRow, TaskMessage
from asynctasks.broker.protocol import Broker, Delivery
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import BrokerUnavailableError
from asynctasks.response import Problem, Response
from asynctasks.task import TaskStatus
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.ready import ready


class Inbox:
    """Collects deliveries, as an executor would before it deals with them."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    @property
    def numbers(self) -> list[int]:
        return [TaskMessage.decode(delivery.body).task_id.int for delivery in self.deliveries]

    async def holds(self, *numbers: int) -> None:
        def check() -> None:
            assert sorted(self.numbers) == sorted(numbers)

        await eventually(check)


def message(number: int) -> TaskMessage:
    return TaskMessage(UUID(int=number), "create-client")


async def test_a_published_message_waits_is_delivered_and_is_gone_after_its_ack(broker: Broker):
    await broker.publish("clients", message(1))
    await ready(broker, 1)
    inbox = Inbox()
    async with broker.consume("clients", prefetch=10, on_delivery=inbox):
        await inbox.holds(1)
        assert TaskMessage.decode(inbox.deliveries[0].body) == message(1)
        await inbox.deliveries[0].ack()
    await ready(broker, 0)


@pytest.mark.parametrize("stops_first", [False, True])
async def test_an_ack_right_before_leaving_is_not_lost(broker: Broker, stops_first: bool):
    """The acks go ahead of the end of their connection, whether or not a call is answered first."""
    for number in range(20):
        await broker.publish("clients", message(number))
    inbox = Inbox()
    async with broker.consume("clients", prefetch=20, on_delivery=inbox) as consumption:
        await inbox.holds(*range(20))
        if stops_first:
            await consumption.stop()
        for delivery in inbox.deliveries:
            await delivery.ack()
    await ready(broker, 0)


async def test_a_consumer_holds_no_more_than_its_prefetch_and_gets_the_next_on_an_ack(
    broker: Broker,
):
    for number in range(5):
        await broker.publish("clients", message(number))
    inbox = Inbox()
    async with broker.consume("clients", prefetch=2, on_delivery=inbox):
        await inbox.holds(0, 1)
        await ready(broker, 3)
        await inbox.deliveries[0].ack()
        await inbox.holds(0, 1, 2)
        await ready(broker, 2)


async def test_a_released_delivery_goes_to_another_consumer(broker: Broker):
    first, second = Inbox(), Inbox()
    async with broker.consume("clients", prefetch=10, on_delivery=first) as consumption:
        await broker.publish("clients", message(1))
        await first.holds(1)
        await consumption.stop()
        async with broker.consume("clients", prefetch=10, on_delivery=second):
            await first.deliveries[0].release()
            await second.holds(1)
            await second.deliveries[0].ack()
    await ready(broker, 0)


async def test_what_a_consumer_holds_when_it_leaves_is_delivered_again(broker: Broker):
    await broker.publish("clients", message(1))
    inbox = Inbox()
    async with broker.consume("clients", prefetch=10, on_delivery=inbox):
        await inbox.holds(1)
    await ready(broker, 1)
    await inbox.deliveries[0].release()
    await inbox.deliveries[0].ack()
    await ready(broker, 1)


async def test_after_stop_nothing_more_is_delivered_and_what_is_in_hand_can_be_acked(
    broker: Broker,
):
    inbox = Inbox()
    async with broker.consume("clients", prefetch=10, on_delivery=inbox) as consumption:
        await broker.publish("clients", message(1))
        await inbox.holds(1)
        await consumption.stop()
        await broker.publish("clients", message(2))
        await ready(broker, 1)
        assert inbox.numbers == [1]
        await inbox.deliveries[0].ack()
    await ready(broker, 1)


async def test_a_dead_lettered_message_is_put_aside_with_its_reason(broker: Broker, amqp_url: str):
    inbox = Inbox()
    async with broker.consume("clients", prefetch=10, on_delivery=inbox):
        await broker.publish("clients", message(1))
        await inbox.holds(1)
        await inbox.deliveries[0].dead_letter("it is malformed")
    await ready(broker, 0)
    assert await dead_letters(broker, amqp_url) == [(message(1).encode(), "it is malformed")]


async def dead_letters(
    broker: Broker, amqp_url: str, *, queue: str = "clients"
) -> list[tuple[bytes, str]]:
    if isinstance(broker, InMemoryBroker):
        return broker.dead_letters
    assert isinstance(broker, RabbitmqBroker)
    import aio_pika  # noqa: PLC0415 - the memory broker's tests do without

    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        letters = await channel.get_queue(
            broker.topology.dead_letter_queue_name(queue), ensure=False
        )
        found = await letters.get(timeout=PATIENCE_SECONDS)
        await found.ack()
        return [(found.body, str(found.headers["x-asyncapiproxy-reason"]))]


async def test_two_consumers_share_a_queue_and_no_message_goes_to_both(broker: Broker):
    first, second = Inbox(), Inbox()
    async with (
        broker.consume("clients", prefetch=5, on_delivery=first),
        broker.consume("clients", prefetch=5, on_delivery=second),
    ):
        for number in range(10):
            await broker.publish("clients", message(number))

        def both_full() -> None:
            assert sorted(first.numbers + second.numbers) == list(range(10))

        await eventually(both_full)
        for delivery in first.deliveries + second.deliveries:
            await delivery.ack()
    await ready(broker, 0)


REPLIES = [
    Reply(uuid4(), TaskStatus.SUCCEEDED, Response(201, "application/json", b'{"id": 1}')),
    Reply(uuid4(), TaskStatus.SUCCEEDED, Response(200, "image/png", bytes(range(256)))),
    Reply(uuid4(), TaskStatus.FAILED, error=Problem("upstream-down", "Down", 502, "no \u0000 …")),
]


async def test_a_queue_that_is_added_has_all_that_the_first_ones_have(
    broker: Broker, amqp_url: str
):
    await broker.add_queues({"clients", "late"})
    await broker.ping()
    await broker.publish("late", message(1))
    await broker.publish("late", message(2))
    await broker.publish("clients", message(3))
    await ready(broker, 2, queue="late")
    late, clients = Inbox(), Inbox()
    async with (
        broker.consume("late", prefetch=10, on_delivery=late),
        broker.consume("clients", prefetch=10, on_delivery=clients),
    ):
        await broker.add_queues({"late"})
        await late.holds(1, 2)
        await clients.holds(3)
        first, second = sorted(late.deliveries, key=lambda delivery: delivery.body)
        await first.ack()
        await second.dead_letter("it is malformed")
    await ready(broker, 0, queue="late")
    letters = await dead_letters(broker, amqp_url, queue="late")
    assert letters == [(message(2).encode(), "it is malformed")]


async def test_each_reply_reaches_the_shared_queue_as_it_was_sent(broker: Broker):
    arrived: list[Reply | ReplyInRow] = []
    async with broker.shared_reply_queue(arrived.append, on_restored=lambda: None) as name:
        for reply in REPLIES:
            await broker.reply(name, reply)

        def all_there() -> None:
            assert arrived == REPLIES

        await eventually(all_there)


async def test_a_temporary_reply_queue_gets_its_replies_and_no_others(broker: Broker):
    here: list[Reply | ReplyInRow] = []
    there: list[Reply | ReplyInRow] = []
    async with (
        broker.temporary_reply_queue(here.append) as one,
        broker.temporary_reply_queue(there.append) as other,
    ):
        await broker.reply(other, REPLIES[1])
        await broker.reply(one, REPLIES[0])

        def both_there() -> None:
            assert (here, there) == ([REPLIES[0]], [REPLIES[1]])

        await eventually(both_there)


async def test_a_reply_to_a_vanished_queue_is_silent_and_harms_nothing(broker: Broker):
    arrived: list[Reply | ReplyInRow] = []
    async with broker.temporary_reply_queue(arrived.append) as name:
        pass
    for gone in (name, "never-was"):
        await broker.reply(gone, REPLIES[0])
    async with broker.temporary_reply_queue(arrived.append) as other:
        await broker.reply(other, REPLIES[1])

        def only_the_second() -> None:
            assert arrived == [REPLIES[1]]

        await eventually(only_the_second)


async def test_an_error_of_the_callers_passes_through_as_it_is(broker: Broker):
    for entered in (
        broker.temporary_reply_queue(lambda _: None),
        broker.shared_reply_queue(lambda _: None, on_restored=lambda: None),
        broker.consume("clients", prefetch=1, on_delivery=lambda _: None),
    ):
        with pytest.raises(BrokerUnavailableError, match="mine"):
            async with entered:
                raise BrokerUnavailableError("mine")


async def test_a_broker_that_answers_says_so(broker: Broker):
    await broker.ping()
    assert broker.is_connected


async def test_many_publishers_at_once_lose_nothing(broker: Broker):
    inbox = Inbox()
    async with broker.consume("clients", prefetch=500, on_delivery=inbox):
        await asyncio.gather(*(broker.publish("clients", message(n)) for n in range(300)))
        await inbox.holds(*range(300))
        await asyncio.gather(*(delivery.ack() for delivery in inbox.deliveries))
    await ready(broker, 0)
