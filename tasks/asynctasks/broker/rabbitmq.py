"""The broker on RabbitMQ 3.10 and later, by aiormq (aio-pika's protocol layer).

One connection publishes and each subscription has its own, so that a broker that holds back
publishers (memory alarm) never keeps an executor from acking.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self

import structlog
from aiormq.channel import Channel
from aiormq.exceptions import PublishError
from pamqp.commands import Basic

from asynctasks.broker.coalescer import Coalescer
from asynctasks.broker.messages import Reply, packed, unpacked
from asynctasks.broker.rabbitmq_connection import (
    HEARTBEAT_SECONDS,
    ReconnectingConnection,
    translated,
    until_closed,
)
from asynctasks.broker.rabbitmq_consumption import RabbitmqConsumption
from asynctasks.broker.rabbitmq_topology import RabbitmqTopology
from asynctasks.errors import BrokerUnavailableError, MalformedMessageError, MessageReturnedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
    from pamqp.common import FieldTable

    from asynctasks.broker.messages import ReplyInRow, TaskMessage
    from asynctasks.broker.protocol import Consumption, OnDelivery, OnReply, OnRestored

PERSISTENT, TRANSIENT = 2, 1
REPLY_TTL_MILLISECONDS = "60000"
DRAINED_BYTES = 16 * 1024
"""A reply this large waits until it has left, so that a slow broker's replies do not pile up."""
FIRST_CONNECT_SECONDS = 1.0
"""How long a start waits for the broker before it goes on without."""

log = structlog.get_logger(__name__)


class RabbitmqBroker:
    """Keeps a durable quorum queue, and one for dead letters, for each queue it is given."""

    def __init__(
        self, url: str, *, queues: Collection[str], prefix: str, publish_seconds: float
    ) -> None:
        self._url = f"{url}{'&' if '?' in url else '?'}heartbeat={HEARTBEAT_SECONDS}"
        self.topology = RabbitmqTopology(prefix, queues)
        self._publish_seconds = publish_seconds
        self._tasks = asyncio.TaskGroup()
        self._connection = ReconnectingConnection(self._url, name="publish", set_up=self._set_up)
        self._replies = Coalescer(self._tasks, self._publish_replies)
        # Channels of the current connection; after its end they fail at once.
        self._confirmed: Channel | None = None
        self._unconfirmed: Channel | None = None

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._running = self._tasks.create_task(self._connection.run(), name="rabbitmq publish")
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_CONNECT_SECONDS):
                await self._connection.first_up.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await self._tasks.__aexit__(None, None, None)

    @property
    def is_connected(self) -> bool:
        """Whether the publishing connection is up, as far as we know."""
        return self._connection.is_up

    async def ping(self) -> None:
        """Ask for a queue's state; raises BrokerUnavailableError."""
        await self.count_ready(next(iter(self.topology.queues)))

    async def count_ready(self, queue: str) -> int:
        """How many messages wait on the queue; raises BrokerUnavailableError."""
        # Shielded: a call that is cancelled ends the channel and all that others do on it.
        return await asyncio.shield(self._count_ready(self._up(self._unconfirmed), queue))

    async def _count_ready(self, channel: Channel, queue: str) -> int:
        with translated():
            async with asyncio.timeout(self._publish_seconds):
                await _unblocked(channel)
                declared = await channel.queue_declare(
                    self.topology.queue_name(queue), passive=True
                )
        return declared.message_count or 0

    async def publish(self, queue: str, message: TaskMessage) -> None:
        """Publish persistently and await the confirm; raises BrokerUnavailableError."""
        await self._publish(self.topology.queue_name(queue), message.encode())

    async def _put_aside(self, queue: str, body: bytes, reason: str) -> None:
        """Publish to the queue's dead letters; raises BrokerUnavailableError."""
        await self._publish(
            self.topology.dead_letter_queue_name(queue),
            body,
            headers={"x-asyncapiproxy-reason": reason},
        )

    async def _publish(
        self, routing_key: str, body: bytes, *, headers: FieldTable | None = None
    ) -> None:
        properties = Basic.Properties(
            delivery_mode=PERSISTENT, content_type="application/json", headers=headers
        )
        channel = self._up(self._confirmed)
        try:
            with translated():
                async with asyncio.timeout(self._publish_seconds):
                    await _unblocked(channel)
                    await channel.basic_publish(
                        body,
                        routing_key=routing_key,
                        properties=properties,
                        mandatory=True,
                        wait=False,
                    )
        except BrokerUnavailableError as error:
            if not isinstance(error.__cause__, PublishError):
                raise
            if routing_key in self.topology.declared_names():
                # Somebody deleted it. A new connection declares it again.
                self._connection.restart()
            raise MessageReturnedError(f"RabbitMQ has no queue {routing_key!r}") from error

    async def reply(self, reply_to: str, reply: Reply) -> None:
        """Publish without a confirm; a queue that is gone swallows it silently."""
        await self._replies.add((reply_to, reply.encode()))

    async def _publish_replies(self, replies: list[tuple[str, bytes]]) -> None:
        """Those to one queue travel together."""
        by_queue: defaultdict[str, list[bytes]] = defaultdict(list)
        for reply_to, encoded in replies:
            by_queue[reply_to].append(encoded)
        properties = Basic.Properties(delivery_mode=TRANSIENT, expiration=REPLY_TTL_MILLISECONDS)
        try:
            channel = self._up(self._unconfirmed)
            with translated():
                async with asyncio.timeout(self._publish_seconds):
                    await _unblocked(channel)
                    for reply_to, encoded_replies in by_queue.items():
                        for body in packed(encoded_replies):
                            await channel.basic_publish(
                                body,
                                routing_key=reply_to,
                                properties=properties,
                                wait=len(body) > DRAINED_BYTES,
                            )
        except BrokerUnavailableError as error:
            log.info("replies not published", count=len(replies), reason=str(error))

    @asynccontextmanager
    async def consume(
        self, queue: str, *, prefetch: int, on_delivery: OnDelivery
    ) -> AsyncGenerator[Consumption]:
        """Take at most `prefetch` unended deliveries at a time from the queue."""
        consumption = RabbitmqConsumption(
            queue,
            topology=self.topology,
            tasks=self._tasks,
            put_aside=self._put_aside,
            prefetch=prefetch,
            on_delivery=on_delivery,
        )
        connection = ReconnectingConnection(
            self._url, name=f"consume {queue}", set_up=consumption.set_up
        )
        consumption.on_cancelled = connection.restart
        async with self._kept_up(connection):
            try:
                yield consumption
            finally:
                await consumption.leave()

    @asynccontextmanager
    async def shared_reply_queue(
        self, on_reply: OnReply, *, on_restored: OnRestored
    ) -> AsyncGenerator[str]:
        """An exclusive queue for the life of this process, declared anew on each connection."""
        name = self.topology.new_reply_queue_name()

        async def set_up(connection: AbstractConnection) -> list[AbstractChannel]:
            channel = await open_channel(connection)
            channel.on_consumer_cancel_callbacks.add(lambda _: replies.restart())
            await _receive_replies(channel, name, on_reply)
            on_restored()
            return [channel]

        replies = ReconnectingConnection(self._url, name="replies", set_up=set_up)
        async with self._kept_up(replies):
            yield name

    @asynccontextmanager
    async def temporary_reply_queue(self, on_reply: OnReply) -> AsyncGenerator[str]:
        """An exclusive queue for one task, deleted on leaving; raises BrokerUnavailableError."""
        name = self.topology.new_reply_queue_name()
        channel = self._up(self._unconfirmed)
        loop = asyncio.get_running_loop()
        opened, left = loop.create_future(), loop.create_future()

        def on_expected(reply: Reply | ReplyInRow) -> None:
            if not left.done():
                on_reply(reply)

        # In a task of ours, because a caller who is cancelled in the midst of a call on the channel
        # would end the channel, and with it the reply queues of all other callers.
        self._tasks.create_task(
            self._keep_reply_queue(channel, name, on_expected, opened=opened, left=left), name=name
        )
        try:
            await opened
            yield name
        finally:
            left.cancel()

    async def _keep_reply_queue(
        self,
        channel: Channel,
        name: str,
        on_reply: OnReply,
        *,
        opened: asyncio.Future[None],
        left: asyncio.Future[None],
    ) -> None:
        """Open the queue, and delete it once its caller has left.

        Where the connection ends meanwhile the broker deletes it.
        """
        try:
            with translated():
                async with asyncio.timeout(self._publish_seconds):
                    await _unblocked(channel)
                    tag = await _receive_replies(channel, name, on_reply)
        except BrokerUnavailableError as error:
            if not opened.done():
                opened.set_exception(error)
            return
        if not opened.done():
            opened.set_result(None)
        await until_closed(channel, left)
        with suppress(BrokerUnavailableError), translated():
            await channel.basic_cancel(tag, timeout=self._publish_seconds)
            await channel.queue_delete(name, timeout=self._publish_seconds)

    def _up(self, channel: Channel | None) -> Channel:
        if channel is None or not self._connection.is_up:
            raise BrokerUnavailableError("RabbitMQ is not connected")
        return channel

    async def _set_up(self, connection: AbstractConnection) -> list[AbstractChannel]:
        confirmed = await open_channel(connection, confirms=True)
        unconfirmed = await open_channel(connection)
        for queue in self.topology.queues:
            await self.topology.declare(confirmed, queue)
        self._confirmed, self._unconfirmed = confirmed, unconfirmed
        return [confirmed, unconfirmed]

    @asynccontextmanager
    async def _kept_up(self, connection: ReconnectingConnection) -> AsyncGenerator[None]:
        running = self._tasks.create_task(connection.run(), name=f"rabbitmq {connection.name}")
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_CONNECT_SECONDS):
                    await connection.first_up.wait()
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])


async def open_channel(connection: AbstractConnection, *, confirms: bool = False) -> Channel:
    """A channel by its own type: aiormq's abstract one lacks `wait`."""
    channel = await connection.channel(publisher_confirms=confirms)
    assert isinstance(channel, Channel)
    return channel


async def _unblocked(channel: Channel) -> None:
    """Wait while RabbitMQ holds publishers back: it reads nothing then, and aiormq would buffer."""
    await channel.connection.ready()


async def _receive_replies(channel: Channel, name: str, on_reply: OnReply) -> str:
    """Declare an exclusive reply queue, consume it without acks, and return the consumer's tag."""

    async def on_message(message: DeliveredMessage) -> None:
        try:
            for encoded in unpacked(message.body):
                _receive(encoded, on_reply)
        except MalformedMessageError as error:
            log.warning("reply dropped", reason=str(error))

    await channel.queue_declare(name, exclusive=True, auto_delete=True)
    consuming = await channel.basic_consume(name, on_message, no_ack=True)
    return str(consuming.consumer_tag)


def _receive(encoded: bytes, on_reply: OnReply) -> None:
    try:
        reply = Reply.decode(encoded)
    except MalformedMessageError as error:
        log.warning("reply dropped", reason=str(error))
    else:
        on_reply(reply)
