"""What RabbitMQ holds for us: how its exchanges and queues are called and how they are declared.

Every name begins with our prefix, so that a user needs permissions for those names alone. We
publish by exchanges of our own for the same reason: the default one has no name of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel

DELIVERY_LIMIT = 20
"""A message that took so many executors with it is put aside (quorum queues count)."""
MAX_DEAD_LETTERS = 10_000


@dataclass(frozen=True, slots=True)
class RabbitmqTopology:
    """A durable quorum queue for each queue, and one for its dead letters, under one prefix."""

    prefix: str
    queues: set[str]

    @property
    def task_exchange(self) -> str:
        """Leads a task's message to the queue that the routing key names, without our prefix."""
        return f"{self.prefix}.tasks"

    @property
    def dead_letter_exchange(self) -> str:
        """Leads what is put aside to the dead letters of the queue that the routing key names."""
        return f"{self.prefix}.dead-letters"

    @property
    def reply_exchange(self) -> str:
        """Leads a reply to the reply queue that the routing key names."""
        return f"{self.prefix}.replies"

    def queue_name(self, queue: str) -> str:
        """What RabbitMQ calls an operation's queue."""
        return f"{self.prefix}.{queue}"

    def dead_letter_queue_name(self, queue: str) -> str:
        """What RabbitMQ calls the queue for what was put aside."""
        return f"{self.prefix}.{queue}.dead-letters"

    def new_reply_queue_name(self) -> str:
        """A name that no other reply queue has."""
        return f"{self.prefix}.replies.{uuid4()}"

    async def declare_exchanges(self, channel: AbstractChannel) -> None:
        """Declare the exchanges, which outlive every process."""
        for exchange in (self.task_exchange, self.dead_letter_exchange, self.reply_exchange):
            await channel.exchange_declare(exchange, exchange_type="direct", durable=True)

    async def declare(self, channel: AbstractChannel, queue: str) -> None:
        """Declare the queue and where its dead letters go; both outlive every process."""
        dead_letters = self.dead_letter_queue_name(queue)
        await channel.queue_declare(
            dead_letters,
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": MAX_DEAD_LETTERS},
        )
        await channel.queue_bind(dead_letters, self.dead_letter_exchange, routing_key=queue)
        await channel.queue_declare(
            self.queue_name(queue),
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": self.dead_letter_exchange,
                "x-dead-letter-routing-key": queue,
            },
        )
        await channel.queue_bind(self.queue_name(queue), self.task_exchange, routing_key=queue)

    async def declare_reply_queue(self, channel: AbstractChannel, name: str) -> None:
        """Declare a queue that ends with its connection."""
        await channel.queue_declare(name, exclusive=True, auto_delete=True)
        await channel.queue_bind(name, self.reply_exchange, routing_key=name)
