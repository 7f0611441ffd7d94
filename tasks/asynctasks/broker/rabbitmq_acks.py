"""What becomes of the deliveries of one RabbitMQ channel."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from itertools import takewhile
from typing import TYPE_CHECKING

from asynctasks.broker.coalescer import Coalescer
from asynctasks.broker.rabbitmq_connection import translated
from asynctasks.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aiormq.abc import AbstractChannel

SETTLE_SECONDS = 5
"""aiormq can wait for ever where a connection ends just as many acks are on their way into it."""


class RabbitmqAcks:
    """Acks the deliveries of one channel.

    Acks of one turn of the event loop go together, in one frame as far as none is missing.
    Nothing is raised where the connection is gone: the broker delivers the messages again.
    """

    def __init__(
        self,
        channel: AbstractChannel,
        tasks: asyncio.TaskGroup,
        *,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self.channel = channel
        self._settle_seconds = settle_seconds
        self._acks = Coalescer(tasks, self._ack)
        self._unsettled: dict[int, None] = {}
        """Delivery tags in ascending order, as they are delivered.

        A tag leaves once its frame is on its way: until then no ack of several may cover it.
        """

    def delivered(self, tag: int) -> None:
        """Note a delivery that is to be settled."""
        self._unsettled[tag] = None

    async def ack(self, tag: int) -> None:
        """It is dealt with."""
        await self._acks.add(tag)

    async def reject(self, tag: int) -> None:
        """Send it to the queue's dead letters."""
        async with self._settling([tag]):
            await self.channel.basic_reject(tag, requeue=False, wait=False)

    async def release(self, tag: int) -> None:
        """Give it to another consumer."""
        # nack, not reject: from RabbitMQ 4.3 only reject counts towards the delivery limit.
        async with self._settling([tag]):
            await self.channel.basic_nack(tag, requeue=True, wait=False)

    async def _ack(self, tags: list[int]) -> None:
        acked = set(tags)
        async with self._settling(tags):
            first = list(takewhile(acked.__contains__, self._unsettled))
            if first:
                await self.channel.basic_ack(first[-1], multiple=True, wait=False)
            for tag in acked.difference(first):
                await self.channel.basic_ack(tag, wait=False)

    @asynccontextmanager
    async def _settling(self, tags: list[int]) -> AsyncGenerator[None]:
        with suppress(BrokerUnavailableError), translated():
            async with asyncio.timeout(self._settle_seconds):
                yield
            for tag in tags:
                self._unsettled.pop(tag, None)
