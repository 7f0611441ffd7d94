"""Who uses a broker in a test: publishers, an executor that acks, a proxy with its reply queue."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self
from uuid import UUID

import aio_pika

from asynctasks.broker.messages import Reply, ReplyInRow, TaskMessage
from asynctasks.broker.protocol import Delivery
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import BrokerUnavailableError
from asynctasks.response import Response
from asynctasks.task import TaskStatus
from asynctestkit.eventually import eventually
from asynctestkit.servers import RabbitmqServer


def open_broker(
    server: RabbitmqServer, prefix: str, *, publish_seconds: float = 20
) -> RabbitmqBroker:
    return RabbitmqBroker(
        server.url, queues=["clients"], prefix=prefix, publish_seconds=publish_seconds
    )


def message(number: int) -> TaskMessage:
    return TaskMessage(UUID(int=number), "create-client")


def reply(number: int = 0, *, size: int = 2) -> Reply:
    response = Response(200, "text/plain", b"x" * size)
    return Reply(UUID(int=number), TaskStatus.SUCCEEDED, response)


async def ctl(server: RabbitmqServer, *args: str) -> str:
    return await asyncio.to_thread(server.ctl, *args)


async def delete_queue(server: RabbitmqServer, name: str) -> None:
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(name)


async def connected(broker: RabbitmqBroker) -> None:
    async def check() -> None:
        try:
            await broker.ping()
        except BrokerUnavailableError as error:
            raise AssertionError("not yet") from error

    await eventually(check)


async def published(broker: RabbitmqBroker, number: int) -> None:
    """Publishes as the relay does: again, until it is confirmed."""

    async def attempt() -> None:
        try:
            await broker.publish("clients", message(number))
        except BrokerUnavailableError as error:
            raise AssertionError("not yet") from error

    await eventually(attempt)


class Executor:
    """Acks each delivery at once and remembers its number."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._acks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._acks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._acks.__aexit__(None, None, None)

    def __call__(self, delivery: Delivery) -> None:
        self.numbers.append(TaskMessage.decode(delivery.body).task_id.int)
        self._acks.create_task(delivery.ack())

    async def has(self, number: int) -> None:
        def check() -> None:
            assert number in self.numbers

        await eventually(check)


@asynccontextmanager
async def consuming(broker: RabbitmqBroker) -> AsyncGenerator[Executor]:
    async with (
        Executor() as executor,
        broker.consume("clients", prefetch=10, on_delivery=executor),
    ):
        yield executor


class SharedQueue:
    """A proxy's reply queue, and how often it was said to be restored."""

    def __init__(self) -> None:
        self.arrived: list[Reply | ReplyInRow] = []
        self.restored = 0

    def count(self) -> None:
        self.restored += 1

    async def is_restored(self, *, beyond: int) -> None:
        def check() -> None:
            assert self.restored > beyond

        await eventually(check)

    async def gets(self, broker: RabbitmqBroker, name: str) -> None:
        sent = reply(len(self.arrived))

        async def check() -> None:
            await broker.reply(name, sent)
            assert sent in self.arrived

        await eventually(check)
