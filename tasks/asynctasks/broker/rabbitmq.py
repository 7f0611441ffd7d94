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
from asynctasks.broker.messages import packed
from asynctasks.broker.rabbitmq_connection import (
    HEARTBEAT_SECONDS,
    ReconnectingConnection,
    is_blocked,
    translated,
    until_closed,
)
from asynctasks.broker.rabbitmq_consumption import RabbitmqConsumption
from asynctasks.broker.rabbitmq_queues import RabbitmqQueues
from asynctasks.broker.rabbitmq_replies import receive_replies
from asynctasks.broker.rabbitmq_topology import RabbitmqTopology
from asynctasks.errors import BrokerUnavailableError, MessageReturnedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from aiormq.abc import AbstractChannel, AbstractConnection
    from pamqp.common import FieldTable

    from asynctasks.broker.messages import Reply, ReplyInRow, TaskMessage
    from asynctasks.broker.protocol import Consumption, OnDelivery, OnReply, OnRestored

PERSISTENT, TRANSIENT = 2, 1
REPLY_TTL_MILLISECONDS = "60000"
DRAINED_BYTES = 16 * 1024
"""A reply this large waits until it has left, so that a slow broker's replies do not pile up."""
TRY_AGAIN_SECONDS = 0.5
FIRST_CONNECT_SECONDS = 1.0
"""How long a start waits for the broker before it goes on without."""

log = structlog.get_logger(__name__)


class RabbitmqBroker:
    """Keeps a durable quorum queue, and one for dead letters, for each queue it is given."""

    def __init__(
        self, url: str, *, queues: Collection[str], prefix: str, publish_seconds: float
    ) -> None:
        self._url = f"{url}{'&' if '?' in url else '?'}heartbeat={HEARTBEAT_SECONDS}"
        self.topology = RabbitmqTopology(prefix, set(queues))
        self._queues = RabbitmqQueues(self.topology)
        self._publish_seconds = publish_seconds
        self._tasks = asyncio.TaskGroup()
        self._connection = ReconnectingConnection(self._url, name="publish", set_up=self._set_up)
        self._replies = Coalescer(self._tasks, self._publish_replies)
        # Channels of the current connection; after its end they fail at once.
        self._confirmed: Channel | None = None
        self._unconfirmed: Channel | None = None
        self._is_silent = False

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
        """Whether messages can be published now, as far as we know."""
        return (
            self._confirmed is not None
            and self._connection.is_up
            and not self._is_silent
            and not is_blocked(self._confirmed.connection)
        )

    async def add_queues(self, queues: Collection[str]) -> None:
        """Declare these too, now and on each connection to come."""
        new = set(queues) - self.topology.queues
        self.topology.queues.update(new)
        try:
            with translated():
                async with asyncio.timeout(self._publish_seconds):
                    await self._queues.declare(self._up(self._unconfirmed).connection, new)
        except BrokerUnavailableError as error:
            log.warning("queues not declared yet", queues=sorted(new), reason=str(error))

    async def ping(self) -> None:
        """Publish as a task is published, but to no queue, and look for the queues.

        Raises BrokerUnavailableError, which tells of each queue that cannot be used.
        """
        channel = self._up(self._confirmed)
        await self._try(channel)
        with translated():
            async with asyncio.timeout(self._publish_seconds):
                await self._queues.declare(channel.connection, self._queues.faults)
        await self.count_ready(next(iter(self.topology.queues)))
        if self._queues.faults:
            raise BrokerUnavailableError("; ".join(self._queues.faults.values()))

    async def count_ready(self, queue: str) -> int:
        """How many messages wait on the queue; raises BrokerUnavailableError."""
        # Shielded: a call that is cancelled ends the channel and all that others do on it.
        return await asyncio.shield(self._count_ready(self._up(self._unconfirmed), queue))

    async def _count_ready(self, channel: Channel, queue: str) -> int:
        _check_unblocked(channel)
        with translated():
            async with asyncio.timeout(self._publish_seconds):
                declared = await channel.queue_declare(
                    self.topology.queue_name(queue), passive=True
                )
        return declared.message_count or 0

    async def publish(self, queue: str, message: TaskMessage) -> None:
        """Publish persistently and await the confirm; raises BrokerUnavailableError.

        Where RabbitMQ has let one publisher wait in vain no other waits until it is heard again.
        """
        if self._is_silent:
            raise BrokerUnavailableError("RabbitMQ confirms nothing at present")
        if fault := self._queues.faults.get(queue):
            raise BrokerUnavailableError(fault)
        await self._publish(self.topology.task_exchange, queue, message.encode())

    async def _put_aside(self, queue: str, body: bytes, reason: str) -> None:
        """Publish to the queue's dead letters; raises BrokerUnavailableError."""
        headers: FieldTable = {"x-asyncapiproxy-reason": reason}
        await self._publish(self.topology.dead_letter_exchange, queue, body, headers=headers)

    async def _publish(
        self, exchange: str, queue: str, body: bytes, *, headers: FieldTable | None = None
    ) -> None:
        properties = Basic.Properties(
            delivery_mode=PERSISTENT, content_type="application/json", headers=headers
        )
        channel = self._up(self._confirmed)
        try:
            await self._confirmed_publish(channel, exchange, queue, body, properties)
        except BrokerUnavailableError as error:
            if isinstance(error.__cause__, TimeoutError):
                self._listen_again(channel)
            if not isinstance(error.__cause__, PublishError):
                raise
            if queue in self.topology.queues:
                # Somebody deleted it. A new connection declares it again.
                self._connection.restart()
            name = self.topology.queue_name(queue)
            raise MessageReturnedError(f"RabbitMQ has no queue {name!r}") from error

    async def _confirmed_publish(
        self,
        channel: Channel,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Basic.Properties,
    ) -> None:
        _check_unblocked(channel)
        with translated():
            async with asyncio.timeout(self._publish_seconds):
                await channel.basic_publish(
                    body,
                    exchange=exchange,
                    routing_key=routing_key,
                    properties=properties,
                    mandatory=True,
                    wait=False,
                )

    async def _try(self, channel: Channel) -> None:
        """Publish a message that has no queue: that it comes back says that we may publish."""
        try:
            await self._confirmed_publish(
                channel, self.topology.task_exchange, "", b"", Basic.Properties()
            )
        except BrokerUnavailableError as error:
            if not isinstance(error.__cause__, PublishError):
                raise

    def _listen_again(self, channel: Channel) -> None:
        """Let nobody wait for RabbitMQ until it is heard again on this channel."""
        if not self._is_silent and channel is self._confirmed:
            self._is_silent = True
            self._tasks.create_task(self._until_heard(channel), name="rabbitmq until heard")

    async def _until_heard(self, channel: Channel) -> None:
        log.warning("broker confirms nothing", waited_seconds=self._publish_seconds)
        while channel is self._confirmed and not channel.is_closed:
            try:
                await self._try(channel)
            except BrokerUnavailableError:
                await asyncio.sleep(TRY_AGAIN_SECONDS)
            else:
                log.info("broker confirms again")
                self._is_silent = False
                return

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
                    await channel.connection.ready()
                    for reply_to, encoded_replies in by_queue.items():
                        for body in packed(encoded_replies):
                            await channel.basic_publish(
                                body,
                                exchange=self.topology.reply_exchange,
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
                await consumption.stop()

    @asynccontextmanager
    async def shared_reply_queue(
        self, on_reply: OnReply, *, on_restored: OnRestored
    ) -> AsyncGenerator[str]:
        """An exclusive queue for the life of this process, declared anew on each connection."""
        name = self.topology.new_reply_queue_name()

        async def set_up(connection: AbstractConnection) -> list[AbstractChannel]:
            channel = await open_channel(connection)
            channel.on_consumer_cancel_callbacks.add(lambda _: replies.restart())
            await self.topology.declare_exchanges(channel)
            await self.topology.declare_reply_queue(channel, name)
            await receive_replies(channel, name, on_reply)
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
            _check_unblocked(channel)
            with translated():
                async with asyncio.timeout(self._publish_seconds):
                    await self.topology.declare_reply_queue(channel, name)
                    tag = await receive_replies(channel, name, on_reply)
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
            raise BrokerUnavailableError(
                "RabbitMQ is not connected", reason=self._connection.ending
            )
        return channel

    async def _set_up(self, connection: AbstractConnection) -> list[AbstractChannel]:
        confirmed = await open_channel(connection, confirms=True)
        unconfirmed = await open_channel(connection)
        await self.topology.declare_exchanges(unconfirmed)
        await self._queues.declare(connection, self.topology.queues)
        self._confirmed, self._unconfirmed = confirmed, unconfirmed
        self._is_silent = False
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


def _check_unblocked(channel: Channel) -> None:
    """Raise BrokerUnavailableError where RabbitMQ reads nothing: aiormq would buffer it."""
    if is_blocked(channel.connection):
        raise BrokerUnavailableError("RabbitMQ takes no messages: it is short of memory or disk")
