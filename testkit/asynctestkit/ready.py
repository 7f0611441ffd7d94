"""How many messages wait on a queue, once RabbitMQ has counted them."""

from collections.abc import Container

from asynctasks.broker.protocol import Broker
from asynctestkit.eventually import eventually


async def ready(broker: Broker, expected: int | Container[int], *, queue: str = "clients") -> None:
    """Return when the queue holds as many as expected.

    RabbitMQ counts a quorum queue's messages with a delay, so one look proves nothing.
    """
    allowed = (expected,) if isinstance(expected, int) else expected

    async def counted() -> None:
        assert await broker.count_ready(queue) in allowed

    await eventually(counted)
