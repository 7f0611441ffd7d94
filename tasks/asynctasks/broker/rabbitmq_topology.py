"""What RabbitMQ holds for us: how its queues are called and how they are declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiormq.abc import AbstractChannel

DELIVERY_LIMIT = 20
"""A message that took so many executors with it is put aside (quorum queues count)."""
MAX_DEAD_LETTERS = 10_000


@dataclass(frozen=True, slots=True)
class RabbitmqTopology:
    """A durable quorum queue for each queue, and one for its dead letters, under one prefix."""

    prefix: str
    queues: Collection[str]

    def queue_name(self, queue: str) -> str:
        """What RabbitMQ calls an operation's queue."""
        return f"{self.prefix}.{queue}"

    def dead_letter_queue_name(self, queue: str) -> str:
        """What RabbitMQ calls the queue for what was put aside."""
        return f"{self.prefix}.{queue}.dead-letters"

    def new_reply_queue_name(self) -> str:
        """A name that no other reply queue has."""
        return f"{self.prefix}.replies.{uuid4()}"

    def declared_names(self) -> set[str]:
        """What RabbitMQ calls all the queues that outlive a connection."""
        return {
            name(queue)
            for queue in self.queues
            for name in (self.queue_name, self.dead_letter_queue_name)
        }

    async def declare(self, channel: AbstractChannel, queue: str) -> None:
        """Declare the queue and where its dead letters go; both outlive every process."""
        exchange = f"{self.prefix}.dead-letters"
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
