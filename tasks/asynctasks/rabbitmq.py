"""The broker on RabbitMQ 3.10 and later, by aiormq (aio-pika's protocol layer).

One connection publishes and each subscription has its own, so that a broker that holds back
publishers (memory alarm) never keeps an executor from acking.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import structlog
from pamqp.commands import Basic

from asynctasks.errors import BrokerUnavailableError, MalformedMessageError, MessageReturnedError
from asynctasks.link import HEARTBEAT_SECONDS, Link, translated
from asynctasks.messages import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

    from asynctasks.broker import Consumption, OnDelivery, OnReply, OnRestored
    from asynctasks.messages import TaskMessage

PERSISTENT, TRANSIENT = 2, 1
DELIVERY_LIMIT = 20
"""A message that took so many executors with it is put aside (quorum queues count)."""
MAX_DEAD_LETTERS = 10_000
REPLY_TTL_MILLISECONDS = "60000"
FIRST_CONNECT_SECONDS = 1.0
"""How long a start waits for the broker before it goes on without."""

log = structlog.get_logger(__name__)


class RabbitmqBroker:
    """Keeps a durable quorum queue, and one for dead letters, for each queue it is given."""

    def __init__(
        self, url: str, *, queues: Collection[str], prefix: str, publish_seconds: float
    ) -> None:
        self._url = f"{url}{'&' if '?' in url else '?'}heartbeat={HEARTBEAT_SECONDS}"
        self._queues = queues
        self._prefix = prefix
        self._publish_seconds = publish_seconds
        self._tasks = asyncio.TaskGroup()
        self._link = Link(self._url, name="publish", set_up=self._set_up)
        # Channels of the current connection; after its end they fail at once.
        self._confirmed: AbstractChannel | None = None
        self._unconfirmed: AbstractChannel | None = None

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._running = self._tasks.create_task(self._link.run(), name="rabbitmq publish")
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_CONNECT_SECONDS):
                await self._link.first_up.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await self._tasks.__aexit__(None, None, None)

    @property
    def is_connected(self) -> bool:
        """Whether the publishing connection is up, as far as we know."""
        return self._link.is_up

    async def ping(self) -> None:
        """Ask for a queue's state; raises BrokerUnavailableError."""
        await self.count_ready(next(iter(self._queues)))

    async def count_ready(self, queue: str) -> int:
        """How many messages wait on the queue; raises BrokerUnavailableError."""
        with translated():
            declared = await self._up(self._unconfirmed).queue_declare(
                self.queue_name(queue), passive=True, timeout=self._publish_seconds
            )
        return declared.message_count or 0

    async def publish(self, queue: str, message: TaskMessage) -> None:
        """Publish persistently and await the confirm; raises BrokerUnavailableError."""
        await self.publish_confirmed(self.queue_name(queue), message.encode())

    async def publish_confirmed(
        self, routing_key: str, body: bytes, *, headers: dict[str, str] | None = None
    ) -> None:
        """Publish any body to a RabbitMQ queue by its full name; raises BrokerUnavailableError."""
        properties = Basic.Properties(
            delivery_mode=PERSISTENT, content_type="application/json", headers=headers
        )
        with translated():
            confirmation = await self._up(self._confirmed).basic_publish(
                body,
                routing_key=routing_key,
                properties=properties,
                mandatory=True,
                timeout=self._publish_seconds,
                wait=False,
            )
        # "No exception" is no proof: a message without a queue comes back as a value.
        if not isinstance(confirmation, Basic.Ack):
            raise MessageReturnedError(f"RabbitMQ has no queue {routing_key!r}")

    async def reply(self, reply_to: str, reply: Reply) -> None:
        """Publish without a confirm; a queue that is gone swallows it silently."""
        properties = Basic.Properties(
            delivery_mode=TRANSIENT,
            correlation_id=str(reply.task_id),
            expiration=REPLY_TTL_MILLISECONDS,
        )
        try:
            with translated():
                await self._up(self._unconfirmed).basic_publish(
                    reply.encode(),
                    routing_key=reply_to,
                    properties=properties,
                    timeout=self._publish_seconds,
                    wait=False,
                )
        except BrokerUnavailableError as error:
            log.info("reply not published", task_id=str(reply.task_id), reason=str(error))

    @asynccontextmanager
    async def consume(
        self, queue: str, *, prefetch: int, on_delivery: OnDelivery
    ) -> AsyncGenerator[Consumption]:
        """Take at most `prefetch` unended deliveries at a time from the queue."""
        consumption = _Consumption(self, queue, prefetch, on_delivery)
        link = Link(self._url, name=f"consume {queue}", set_up=consumption.set_up)
        async with self._kept_up(link):
            yield consumption

    @asynccontextmanager
    async def shared_reply_queue(
        self, on_reply: OnReply, *, on_restored: OnRestored
    ) -> AsyncGenerator[str]:
        """An exclusive queue for the life of this process, declared anew on each connection."""
        name = self._new_reply_queue_name()

        async def set_up(connection: AbstractConnection) -> list[AbstractChannel]:
            channel = await connection.channel(publisher_confirms=False)
            await _receive_replies(channel, name, on_reply)
            if link.first_up.is_set():
                on_restored()
            return [channel]

        link = Link(self._url, name="replies", set_up=set_up)
        async with self._kept_up(link):
            yield name

    @asynccontextmanager
    async def temporary_reply_queue(self, on_reply: OnReply) -> AsyncGenerator[str]:
        """An exclusive queue for one task, deleted on leaving; raises BrokerUnavailableError."""
        name = self._new_reply_queue_name()
        channel = self._up(self._unconfirmed)
        with translated():
            tag = await _receive_replies(channel, name, on_reply)
        try:
            yield name
        finally:
            # Where the connection has ended, the broker has deleted the queue with it.
            with suppress(BrokerUnavailableError), translated():
                await channel.basic_cancel(tag, timeout=self._publish_seconds)
                await channel.queue_delete(name, timeout=self._publish_seconds)

    def queue_name(self, queue: str) -> str:
        """What RabbitMQ calls an operation's queue."""
        return f"{self._prefix}.{queue}"

    def dead_letter_queue_name(self, queue: str) -> str:
        """What RabbitMQ calls the queue for what was put aside."""
        return f"{self._prefix}.{queue}.dead-letters"

    def _new_reply_queue_name(self) -> str:
        return f"{self._prefix}.replies.{uuid4()}"

    def _up(self, channel: AbstractChannel | None) -> AbstractChannel:
        if channel is None or not self._link.is_up:
            raise BrokerUnavailableError("RabbitMQ is not connected")
        return channel

    async def _set_up(self, connection: AbstractConnection) -> list[AbstractChannel]:
        confirmed = await connection.channel()
        unconfirmed = await connection.channel(publisher_confirms=False)
        for queue in self._queues:
            await self.declare(confirmed, queue)
        self._confirmed, self._unconfirmed = confirmed, unconfirmed
        return [confirmed, unconfirmed]

    async def declare(self, channel: AbstractChannel, queue: str) -> None:
        """Declare the queue and where its dead letters go; both outlive every process."""
        exchange = f"{self._prefix}.dead-letters"
        await channel.exchange_declare(exchange, exchange_type="direct", durable=True)
        await channel.queue_declare(
            self.dead_letter_queue_name(queue),
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": MAX_DEAD_LETTERS},
        )
        await channel.queue_bind(self.dead_letter_queue_name(queue), exchange, routing_key=queue)
        await channel.queue_declare(
            self.queue_name(queue),
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": exchange,
                "x-dead-letter-routing-key": queue,
            },
        )

    @asynccontextmanager
    async def _kept_up(self, link: Link) -> AsyncGenerator[None]:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(link.run(), name=f"rabbitmq {link.name}")
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(FIRST_CONNECT_SECONDS):
                        await link.first_up.wait()
                yield
            finally:
                running.cancel()


async def _receive_replies(channel: AbstractChannel, name: str, on_reply: OnReply) -> str:
    """Declare an exclusive reply queue, consume it without acks, and return the consumer's tag."""

    async def on_message(message: DeliveredMessage) -> None:
        try:
            on_reply(Reply.decode(message.body))
        except MalformedMessageError as error:
            log.warning("reply dropped", reason=str(error))

    await channel.queue_declare(name, exclusive=True, auto_delete=True)
    consuming = await channel.basic_consume(name, on_message, no_ack=True)
    return str(consuming.consumer_tag)


class _Consumption:
    def __init__(
        self, broker: RabbitmqBroker, queue: str, prefetch: int, on_delivery: OnDelivery
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._on_delivery = on_delivery
        self._channel: AbstractChannel | None = None
        self._tag: str | None = None
        self._is_stopped = False

    async def set_up(self, connection: AbstractConnection) -> list[AbstractChannel]:
        channel = await connection.channel(publisher_confirms=False)
        await channel.basic_qos(prefetch_count=self._prefetch)
        await self._broker.declare(channel, self._queue)
        # A consumer that the broker cancels (its queue was deleted) ends the channel, and so the
        # link starts anew and declares the queue again.
        channel.on_consumer_cancel_callbacks.add(lambda _: channel.close())
        self._channel = channel
        if not self._is_stopped:
            consuming = await channel.basic_consume(
                self._broker.queue_name(self._queue), self._deliver
            )
            self._tag = consuming.consumer_tag
        return [channel]

    async def stop(self) -> None:
        self._is_stopped = True
        if self._channel is not None and self._tag is not None:
            with suppress(BrokerUnavailableError), translated():
                await self._channel.basic_cancel(self._tag, timeout=5)

    async def _deliver(self, message: DeliveredMessage) -> None:
        self._on_delivery(_Delivery(self._broker, self._queue, message))


class _Delivery:
    def __init__(self, broker: RabbitmqBroker, queue: str, message: DeliveredMessage) -> None:
        self._broker = broker
        self._queue = queue
        self._message = message
        self.body = message.body

    async def ack(self) -> None:
        with suppress(BrokerUnavailableError), translated():
            await self._message.channel.basic_ack(self._tag, wait=False)

    async def dead_letter(self, reason: str) -> None:
        try:
            await self._broker.publish_confirmed(
                self._broker.dead_letter_queue_name(self._queue),
                self.body,
                headers={"x-asyncapi-reason": reason},
            )
        except BrokerUnavailableError:
            # Without the reason then, by the queue's own dead-letter exchange.
            with suppress(BrokerUnavailableError), translated():
                await self._message.channel.basic_reject(self._tag, requeue=False)
        else:
            await self.ack()

    async def release(self) -> None:
        # nack, not reject: from RabbitMQ 4.3 only reject counts towards the delivery limit.
        with suppress(BrokerUnavailableError), translated():
            await self._message.channel.basic_nack(self._tag, requeue=True)

    @property
    def _tag(self) -> int:
        assert self._message.delivery_tag is not None
        return self._message.delivery_tag
