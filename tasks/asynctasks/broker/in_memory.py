"""The broker inside one process, for `up` and for tests: what the process holds ends with it.

Nothing is lost by that: on the next start the relay publishes every queued row again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from asynctasks.broker.messages import Reply, TaskMessage
    from asynctasks.broker.protocol import Consumption, OnDelivery, OnReply, OnRestored


class InMemoryBroker:
    """Queues as deques. It encodes and decodes as RabbitMQ's does, so that both carry the same."""

    def __init__(self) -> None:
        self._ready: defaultdict[str, deque[bytes]] = defaultdict(deque)
        self._consumptions: defaultdict[str, list[_Consumption]] = defaultdict(list)
        self._reply_queues: dict[str, OnReply] = {}
        self.dead_letters: list[tuple[bytes, str]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @property
    def is_connected(self) -> bool:
        """Always: it is where we are."""
        return True

    async def add_queues(self, queues: Collection[str]) -> None:
        """A queue is there as soon as it is named."""

    async def ping(self) -> None:
        """It answers as long as we do."""

    async def publish(self, queue: str, message: TaskMessage) -> None:
        """Put the message on the queue."""
        self.put(queue, message.encode())

    def put(self, queue: str, body: bytes, *, first: bool = False) -> None:
        """Put any body on the queue; `first` where it was there before the others."""
        (self._ready[queue].appendleft if first else self._ready[queue].append)(body)
        self._deliver(queue)

    async def count_ready(self, queue: str) -> int:
        """How many messages wait on the queue."""
        return len(self._ready[queue])

    async def reply(self, reply_to: str, reply: Reply) -> None:
        """Call whoever listens there; a name that nobody has (any more) is silent."""
        if on_reply := self._reply_queues.get(reply_to):
            asyncio.get_running_loop().call_soon(on_reply, reply)

    @asynccontextmanager
    async def consume(
        self, queue: str, *, prefetch: int, on_delivery: OnDelivery
    ) -> AsyncGenerator[Consumption]:
        """Take at most `prefetch` unended deliveries at a time from the queue."""
        consumption = _Consumption(self, queue, prefetch, on_delivery)
        self.on_wanted(consumption)
        try:
            yield consumption
        finally:
            await consumption.stop()
            for delivery in list(consumption.unended):
                await delivery.release()

    @asynccontextmanager
    async def shared_reply_queue(
        self, on_reply: OnReply, *, on_restored: OnRestored
    ) -> AsyncGenerator[str]:
        """A reply queue for the life of this process."""
        del on_restored
        async with self.temporary_reply_queue(on_reply) as name:
            yield name

    @asynccontextmanager
    async def temporary_reply_queue(self, on_reply: OnReply) -> AsyncGenerator[str]:
        """A reply queue for one task."""
        name = f"replies.{uuid4()}"
        self._reply_queues[name] = on_reply
        try:
            yield name
        finally:
            del self._reply_queues[name]

    def _deliver(self, queue: str) -> None:
        ready = self._ready[queue]
        for consumption in self._consumptions[queue]:
            while ready and consumption.has_room:
                consumption.take(ready.popleft())
        # Those with room get the next message first.
        self._consumptions[queue].sort(key=lambda consumption: len(consumption.unended))

    def on_ended(self, consumption: _Consumption) -> None:
        """A delivery has ended, so there is room for the next."""
        self._deliver(consumption.queue)

    def on_wanted(self, consumption: _Consumption) -> None:
        """The consumption takes deliveries from now on."""
        if not consumption.is_consuming:
            consumption.is_consuming = True
            self._consumptions[consumption.queue].append(consumption)
            self._deliver(consumption.queue)

    def on_stopped(self, consumption: _Consumption) -> None:
        """The consumption takes no more."""
        if consumption.is_consuming:
            consumption.is_consuming = False
            self._consumptions[consumption.queue].remove(consumption)


class _Consumption:
    def __init__(
        self, broker: InMemoryBroker, queue: str, prefetch: int, on_delivery: OnDelivery
    ) -> None:
        self.broker = broker
        self.queue = queue
        self.unended: set[_Delivery] = set()
        self.is_consuming = False
        self._prefetch = prefetch
        self._on_delivery = on_delivery

    @property
    def has_room(self) -> bool:
        return len(self.unended) < self._prefetch

    def take(self, body: bytes) -> None:
        delivery = _Delivery(self, body)
        self.unended.add(delivery)
        asyncio.get_running_loop().call_soon(self._on_delivery, delivery)

    async def stop(self) -> None:
        self.broker.on_stopped(self)
        await asyncio.sleep(0)  # what was taken is on its way by `call_soon`

    async def resume(self) -> None:
        self.broker.on_wanted(self)


class _Delivery:
    def __init__(self, consumption: _Consumption, body: bytes) -> None:
        self._consumption = consumption
        self.body = body

    async def ack(self) -> None:
        self._end()

    async def dead_letter(self, reason: str) -> None:
        self._consumption.broker.dead_letters.append((self.body, reason))
        self._end()

    async def release(self) -> None:
        # One that its consumption gave back on leaving is in other hands by now.
        if self in self._consumption.unended:
            self._consumption.unended.remove(self)
            self._consumption.broker.put(self._consumption.queue, self.body, first=True)

    def _end(self) -> None:
        self._consumption.unended.discard(self)
        self._consumption.broker.on_ended(self._consumption)
