"""One subscription to a RabbitMQ queue, and the deliveries that come by it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from asynctasks.errors import BrokerUnavailableError
from asynctasks.link import translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

    from asynctasks.broker import OnDelivery
    from asynctasks.rabbitmq import RabbitmqBroker

SETTLE_SECONDS = 5
"""aiormq can wait for ever where a connection ends just as many acks are on their way into it."""


class RabbitmqConsumption:
    """Set up anew on each connection of its link."""

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
        self._changing = asyncio.Lock()
        self.on_cancelled: Callable[[], None] = lambda: None

    async def set_up(self, connection: AbstractConnection) -> list[AbstractChannel]:
        """Declare the queue and consume it, unless stopped."""
        channel = await connection.channel(publisher_confirms=False)
        await channel.basic_qos(prefetch_count=self._prefetch)
        await self._broker.declare(channel, self._queue)
        # RabbitMQ cancels a consumer whose queue was deleted: the next set-up declares it again.
        channel.on_consumer_cancel_callbacks.add(lambda _: self.on_cancelled())
        async with self._changing:
            self._channel, self._tag = channel, None
            await self._follow()
        return [channel]

    @property
    def is_consuming(self) -> bool:
        """Whether deliveries can come now."""
        is_open = self._channel is not None and not self._channel.is_closed
        return is_open and self._tag is not None

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

    async def leave(self) -> None:
        """Stop, and return when RabbitMQ has read the acks that are on their way.

        It reads a channel's frames in order, so an answer to a call says that it has.
        """
        await self.stop()
        if self._channel is not None and not self._channel.is_closed:
            with suppress(BrokerUnavailableError), translated():
                await self._channel.basic_qos(prefetch_count=self._prefetch, timeout=SETTLE_SECONDS)

    async def _follow(self) -> None:
        """Consume or cancel on the channel there is, as is wanted by now."""
        channel = self._channel
        if channel is None or channel.is_closed:
            return
        if self._is_stopped and self._tag is not None:
            tag, self._tag = self._tag, None
            await channel.basic_cancel(tag, timeout=SETTLE_SECONDS)
        elif not self._is_stopped and self._tag is None:
            consuming = await channel.basic_consume(
                self._broker.queue_name(self._queue), self._deliver, timeout=SETTLE_SECONDS
            )
            self._tag = consuming.consumer_tag

    async def _deliver(self, message: DeliveredMessage) -> None:
        self._on_delivery(_Delivery(self._broker, self._queue, message))


class _Delivery:
    def __init__(self, broker: RabbitmqBroker, queue: str, message: DeliveredMessage) -> None:
        self._broker = broker
        self._queue = queue
        self._channel = message.channel
        assert message.delivery_tag is not None
        self._tag = message.delivery_tag
        self.body = message.body

    async def ack(self) -> None:
        await _settle(self._channel.basic_ack(self._tag, wait=False))

    async def dead_letter(self, reason: str) -> None:
        try:
            await self._broker.publish_confirmed(
                self._broker.dead_letter_queue_name(self._queue),
                self.body,
                headers={"x-asyncapi-reason": reason},
            )
        except BrokerUnavailableError:
            # Without the reason then, by the queue's own dead-letter exchange.
            await _settle(self._channel.basic_reject(self._tag, requeue=False))
        else:
            await self.ack()

    async def release(self) -> None:
        # nack, not reject: from RabbitMQ 4.3 only reject counts towards the delivery limit.
        await _settle(self._channel.basic_nack(self._tag, requeue=True))


async def _settle(call: Awaitable[None]) -> None:
    """Where the connection is gone the broker delivers the message again."""
    with suppress(BrokerUnavailableError), translated():
        async with asyncio.timeout(SETTLE_SECONDS):
            await call
