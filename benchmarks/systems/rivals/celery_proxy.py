"""Celery behind the shared route: `.delay().get()`, which blocks a thread for each caller."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from benchmarks.systems.rivals.celery_tasks import create_client
from benchmarks.systems.rivals.customer import CONCURRENCY
from benchmarks.systems.rivals.front import Result, create_front


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncGenerator[None]:
    # As many threads as the worker has; each has a reply queue of its own.
    anyio.to_thread.current_default_thread_limiter().total_tokens = CONCURRENCY
    yield


def _get(client: dict[str, str]) -> Result:
    return create_client.delay(client).get(timeout=60)


async def _ask(client: dict[str, str]) -> Result:
    return await anyio.to_thread.run_sync(_get, client)


app = create_front(_ask, _lifespan)
