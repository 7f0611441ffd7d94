"""Taskiq behind the shared route: `kiq`, then `wait_result`, which polls Redis."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from benchmarks.systems.rivals.front import Result, create_front
from benchmarks.systems.rivals.taskiq_tasks import broker, create_client

POLL_SECONDS = 0.005
"""Its default, 0.2 s, would be the latency of every call."""


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncGenerator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


async def _ask(client: dict[str, str]) -> Result:
    task = await create_client.kiq(client)
    return (await task.wait_result(check_interval=POLL_SECONDS, timeout=60)).return_value


app = create_front(_ask, _lifespan)
