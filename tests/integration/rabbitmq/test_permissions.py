"""What RabbitMQ's user has to be allowed, and how what lacks is told."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import BrokerUnavailableError
from asynctestkit.broker_users import SharedQueue, ctl, message, open_broker
from asynctestkit.eventually import eventually
from asynctestkit.servers import RabbitmqServer


@pytest.fixture
async def limited_user(server: RabbitmqServer) -> AsyncIterator[str]:
    """A user without any permission."""
    name = f"limited-{uuid4().hex[:8]}"
    await ctl(server, "add_user", name, "secret")
    yield name
    await ctl(server, "delete_user", name)


async def test_permissions_for_names_that_begin_with_our_prefix_are_enough(
    server: RabbitmqServer, prefix: str, limited_user: str
):
    ours = rf"^{prefix}\..*"
    await ctl(server, "set_permissions", limited_user, ours, ours, ours)
    url = server.url.replace("guest:guest", f"{limited_user}:secret")
    shared, own = SharedQueue(), SharedQueue()
    held: list[Any] = []
    async with (
        RabbitmqBroker(url, queues=["clients"], prefix=prefix, publish_seconds=20) as broker,
        broker.shared_reply_queue(shared.arrived.append, on_restored=shared.count) as name,
        broker.temporary_reply_queue(own.arrived.append) as own_name,
        broker.consume("clients", prefetch=2, on_delivery=held.append),
    ):
        before = broker._confirmed
        await broker.ping()
        for number in (1, 2):
            await broker.publish("clients", message(number))
        await shared.gets(broker, name)
        await own.gets(broker, own_name)

        def both_there() -> None:
            assert len(held) == 2

        await eventually(both_there)
        await held[0].ack()
        await held[1].dead_letter("malformed")
        assert broker._confirmed is before
        channel = broker._unconfirmed
        assert channel is not None
        aside = broker.topology.dead_letter_queue_name("clients")

        async def put_aside() -> None:
            assert (await channel.queue_declare(aside, passive=True)).message_count == 1

        await eventually(put_aside)


@pytest.mark.parametrize(
    ("configure", "write", "read"),
    [
        ("nothing", "ours", "ours"),
        ("ours", "nothing", "ours"),
        ("ours", "ours", "nothing"),
        ("ours", "all but publishing", "ours"),
    ],
)
async def test_a_ping_tells_of_a_permission_that_lacks(  # noqa: PLR0917 - a table's columns
    server: RabbitmqServer, prefix: str, limited_user: str, configure: str, write: str, read: str
):
    async with open_broker(server, prefix):
        pass  # so that all is declared
    patterns = {
        "nothing": "^$",
        "ours": rf"^{prefix}\..*",
        "all but publishing": rf"^{prefix}\.(?!tasks$).*",
    }
    allowed = [patterns[name] for name in (configure, write, read)]
    await ctl(server, "set_permissions", limited_user, *allowed)
    url = server.url.replace("guest:guest", f"{limited_user}:secret")
    async with RabbitmqBroker(url, queues=["clients"], prefix=prefix, publish_seconds=20) as broker:
        with pytest.raises(BrokerUnavailableError) as caught:
            await broker.ping()
        assert limited_user not in caught.value.public
        with pytest.raises(BrokerUnavailableError):
            await broker.publish("clients", message(1))
