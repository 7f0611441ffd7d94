"""The floor: a reply queue for the process, and nothing else. No database, no upstream."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aio_pika
import orjson
from aio_pika.abc import AbstractIncomingMessage
from fastapi import FastAPI

from benchmarks.systems.rivals.customer import prefixed
from benchmarks.systems.rivals.front import Result, create_front

_waiting: dict[str, asyncio.Future[Result]] = {}
_channel: Any = None
_replies: Any = None


async def _on_reply(message: AbstractIncomingMessage) -> None:
    waiting = _waiting.get(message.correlation_id or "")
    if waiting and not waiting.done():
        waiting.set_result(orjson.loads(message.body))


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncGenerator[None]:
    global _channel, _replies  # noqa: PLW0603 - one process, one connection
    async with await aio_pika.connect_robust(os.environ["BENCH_BROKER_URL"]) as broker:
        _channel = await broker.channel()
        await _channel.declare_queue(prefixed("floor"), durable=True)
        _replies = await _channel.declare_queue(exclusive=True, auto_delete=True)
        await _replies.consume(_on_reply, no_ack=True)
        yield


async def _ask(client: dict[str, str]) -> Result:
    key = str(uuid4())
    waiting = _waiting[key] = asyncio.get_running_loop().create_future()
    message = aio_pika.Message(
        orjson.dumps(client),
        correlation_id=key,
        reply_to=_replies.name,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    try:
        await _channel.default_exchange.publish(message, routing_key=prefixed("floor"))
        return await asyncio.wait_for(waiting, 60)
    finally:
        del _waiting[key]


app = create_front(_ask, _lifespan)
