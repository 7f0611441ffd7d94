"""What the services ask of a broker. `rabbitmq` and `in_memory` both keep it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol, Self

from asynctasks.broker.messages import Reply, ReplyInRow, TaskMessage

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

OnDelivery = Callable[["Delivery"], None]
OnReply = Callable[[Reply | ReplyInRow], None]
OnRestored = Callable[[], None]


class Delivery(Protocol):
    """One message in an executor's hands. Exactly one of the three methods ends it.

    None of them raises: where the connection is gone the broker delivers the message again.
    """

    @property
    def body(self) -> bytes:
        """What was published."""
        ...

    async def ack(self) -> None:
        """It is dealt with."""

    async def dead_letter(self, reason: str) -> None:
        """It can never be dealt with: put it aside, with the reason, for a person to look at."""

    async def release(self) -> None:
        """We are leaving: give it to another executor, at no cost to its delivery count."""


class Consumption(Protocol):
    """A subscription to a queue, kept up over lost connections."""

    @property
    def is_consuming(self) -> bool:
        """Whether deliveries can come now: not where it was stopped, nor with the broker away."""
        ...

    async def stop(self) -> None:
        """Take no more deliveries; those in hand can still be acked.

        What had been taken by then has been handed over.
        """

    async def resume(self) -> None:
        """Take deliveries again after a `stop`, now or as soon as the broker is there."""


class Broker(Protocol):
    """Queues between proxies and executors. Enter it to connect, leave it to disconnect.

    A broker that is away is no error on entering: it connects when it can.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def is_connected(self) -> bool:
        """Whether messages can be published now, as far as we know."""
        ...

    async def add_queues(self, queues: Collection[str]) -> None:
        """Have these queues too, from now on; where the broker is away, once it is there."""

    async def ping(self) -> None:
        """One round trip; raises BrokerUnavailableError."""

    async def publish(self, queue: str, message: TaskMessage) -> None:
        """Put the message on the queue, durably; returns when the broker has confirmed it.

        Raises BrokerUnavailableError; whether the message was taken is then unknown.
        """

    async def reply(self, reply_to: str, reply: Reply) -> None:
        """Tell the waiting proxy. Best effort: the row is the truth, so nothing is raised."""

    async def count_ready(self, queue: str) -> int:
        """How many messages wait on the queue; raises BrokerUnavailableError."""
        ...

    def consume(
        self, queue: str, *, prefetch: int, on_delivery: OnDelivery
    ) -> AbstractAsyncContextManager[Consumption]:
        """Take at most `prefetch` unended deliveries at a time from the queue."""
        ...

    def shared_reply_queue(
        self, on_reply: OnReply, *, on_restored: OnRestored
    ) -> AbstractAsyncContextManager[str]:
        """A reply queue for the life of this process; its name is good at once.

        `on_restored` is called whenever a connection has been made: until then replies may have
        been lost.
        """
        ...

    def temporary_reply_queue(self, on_reply: OnReply) -> AbstractAsyncContextManager[str]:
        """A reply queue for one task, deleted on leaving; raises BrokerUnavailableError."""
        ...
