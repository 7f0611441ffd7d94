"""One subscription to a RabbitMQ queue, and the deliveries that come by it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from asynctasks.broker.rabbitmq_acks import SETTLE_SECONDS, RabbitmqAcks
from asynctasks.broker.rabbitmq_connection import translated
from asynctasks.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

    from asynctasks.broker.protocol import OnDelivery
    from asynctasks.broker.rabbitmq_topology import RabbitmqTopology

    PutAside = Callable[[str, bytes, str], Awaitable[None]]
    """Publishes to a queue's dead letters: queue, body, reason."""


class RabbitmqConsumption:
    """A subscription to one RabbitMQ queue, set up anew on each connection."""

    def __init__(
        self,
        queue: str,
        *,
        topology: RabbitmqTopology,
        tasks: asyncio.TaskGroup,
        put_aside: PutAside,
        prefetch: int,
        on_delivery: OnDelivery,
    ) -> None:
        self._queue = queue
        self._topology = topology
        self._tasks = tasks
        self._put_aside = put_aside
        self._prefetch = prefetch
        self._on_delivery = on_delivery
        self._acks: RabbitmqAcks | None = None
        self._tag: str | None = None
        self._is_stopped = False
        self._changing = asyncio.Lock()
        self.on_cancelled: Callable[[], None] = lambda: None

    async def set_up(self, connection: AbstractConnection) -> list[AbstractChannel]:
        """Declare the queue and consume it, unless stopped."""
        channel = await connection.channel(publisher_confirms=False)
        await channel.basic_qos(prefetch_count=self._prefetch)
        await self._topology.declare_exchanges(channel)
        await self._topology.declare(channel, self._queue)
        # RabbitMQ cancels a consumer whose queue was deleted: the next set-up declares it again.
        channel.on_consumer_cancel_callbacks.add(lambda _: self.on_cancelled())
        async with self._changing:
            self._acks, self._tag = RabbitmqAcks(channel, self._tasks), None
            await self._follow()
        return [channel]

    @property
    def is_consuming(self) -> bool:
        """Whether deliveries can come now."""
        return self._open_acks() is not None and self._tag is not None

    async def stop(self) -> None:
        """Take no more deliveries; those in hand can still be acked."""
        self._is_stopped = True
        with suppress(BrokerUnavailableError), translated():
            async with self._changing:
                await self._follow()

    async def resume(self) -> None:
        """Take deliveries again."""
        self._is_stopped = False
        try:
            with translated():
                async with self._changing:
                    await self._follow()
        except BrokerUnavailableError:
            self.on_cancelled()  # a new connection consumes

    def _open_acks(self) -> RabbitmqAcks | None:
        acks = self._acks
        return None if acks is None or acks.channel.is_closed else acks

    async def _follow(self) -> None:
        """Consume or cancel on the channel there is, as is wanted by now."""
        acks = self._open_acks()
        if acks is None:
            return
        if self._is_stopped and self._tag is not None:
            tag, self._tag = self._tag, None
            await acks.channel.basic_cancel(tag, timeout=SETTLE_SECONDS)
        elif not self._is_stopped and self._tag is None:
            consuming = await acks.channel.basic_consume(
                self._topology.queue_name(self._queue),
                partial(self._deliver, acks),
                timeout=SETTLE_SECONDS,
            )
            self._tag = consuming.consumer_tag

    async def _deliver(self, acks: RabbitmqAcks, message: DeliveredMessage) -> None:
        assert message.delivery_tag is not None
        acks.delivered(message.delivery_tag)
        self._on_delivery(
            _Delivery(
                message.body,
                tag=message.delivery_tag,
                acks=acks,
                put_aside=partial(self._put_aside, self._queue),
            )
        )


class _Delivery:
    def __init__(
        self,
        body: bytes,
        *,
        tag: int,
        acks: RabbitmqAcks,
        put_aside: Callable[[bytes, str], Awaitable[None]],
    ) -> None:
        self.body = body
        self._tag = tag
        self._acks = acks
        self._put_aside = put_aside

    async def ack(self) -> None:
        await self._acks.ack(self._tag)

    async def dead_letter(self, reason: str) -> None:
        try:
            await self._put_aside(self.body, reason)
        except BrokerUnavailableError:
            # Without the reason then, by the queue's own dead-letter exchange.
            await self._acks.reject(self._tag)
        else:
            await self.ack()

    async def release(self) -> None:
        await self._acks.release(self._tag)
