"""FastStream behind the shared route: `broker.request()`, which is a Direct Reply-to call."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import orjson
from fastapi import FastAPI
from faststream.rabbit import RabbitBroker, RabbitQueue

from benchmarks.systems.rivals.customer import prefixed
from benchmarks.systems.rivals.front import Result, create_front

_broker = RabbitBroker(os.environ["BENCH_BROKER_URL"], logger=None)
_QUEUE = RabbitQueue(prefixed("faststream"), durable=True)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncGenerator[None]:
    async with _broker:
        yield


async def _ask(client: dict[str, str]) -> Result:
    reply = await _broker.request({**client}, _QUEUE, timeout=60, persist=True)
    return orjson.loads(reply.body)


app = create_front(_ask, _lifespan)
