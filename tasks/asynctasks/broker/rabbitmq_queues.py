"""Which of our queues RabbitMQ has as we need them, and what is wrong with the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import structlog
from aiormq.exceptions import AMQPChannelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiormq.abc import AbstractConnection

    from asynctasks.broker.rabbitmq_topology import RabbitmqTopology

OTHER_ARGUMENT = re.compile(r"inequivalent arg '(?P<argument>[^']+)' for queue '(?P<name>[^']+)'")

log = structlog.get_logger(__name__)


class RabbitmqQueues:
    """Declares each queue by itself, so that one that cannot be had stops no other."""

    def __init__(self, topology: RabbitmqTopology) -> None:
        self._topology = topology
        self.faults: dict[str, str] = {}
        """By queue; fit to be told to anybody."""

    async def declare(self, connection: AbstractConnection, queues: Iterable[str]) -> None:
        """Declare these, or see again whether they can be had."""
        for queue in list(queues):
            await self._declare(connection, queue)

    async def _declare(self, connection: AbstractConnection, queue: str) -> None:
        channel = await connection.channel(publisher_confirms=False)
        try:
            await self._topology.declare(channel, queue)
        except AMQPChannelError as error:  # which has ended the channel
            fault = self._fault(queue, str(error))
            if self.faults.get(queue) != fault:
                log.warning("queue cannot be used", queue=queue, reason=str(error))
            self.faults[queue] = fault
        else:
            self.faults.pop(queue, None)
            await channel.close()

    def _fault(self, queue: str, words: str) -> str:
        if other := OTHER_ARGUMENT.search(words):
            return (
                f"The queue {other['name']} exists with another {other['argument']}: delete it "
                "when it is empty, or set another ASYNCAPIPROXY_BROKER_PREFIX"
            )
        return f"RabbitMQ refuses the queue {self._topology.queue_name(queue)}"
