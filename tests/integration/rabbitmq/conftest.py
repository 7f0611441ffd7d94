"""A RabbitMQ that tests here may end, and a broker on it."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctestkit.broker_users import open_broker
from asynctestkit.servers import RabbitmqServer


@pytest.fixture(scope="session")
def server() -> Iterator[RabbitmqServer]:
    """Not the one that all tests share, for tests here end it; each leaves it up and unblocked."""
    with RabbitmqServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return f"t{uuid4().hex[:8]}"


@pytest.fixture
async def broker(server: RabbitmqServer, prefix: str) -> AsyncIterator[RabbitmqBroker]:
    async with open_broker(server, prefix) as broker:
        assert broker.is_connected
        yield broker
