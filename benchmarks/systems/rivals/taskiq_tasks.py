"""Taskiq's broker and task, loaded by proxy and worker alike."""

import os
from typing import Any

from taskiq import Context, TaskiqDepends, TaskiqEvents, TaskiqState
from taskiq_aio_pika import AioPikaBroker
from taskiq_aio_pika.exchange import Exchange
from taskiq_aio_pika.queue import Queue, QueueType
from taskiq_redis import RedisAsyncResultBackend

from benchmarks.systems.rivals.customer import CONCURRENCY, Customer, prefixed

broker = AioPikaBroker(
    os.environ["BENCH_BROKER_URL"],
    qos=CONCURRENCY,
    exchange=Exchange(name=prefixed("taskiq")),
    # Its default is a quorum queue; a classic one is cheaper.
    task_queues=[Queue(name=prefixed("taskiq"), type=QueueType.CLASSIC)],
    dead_letter_queue=Queue(name=prefixed("taskiq-dead"), type=QueueType.CLASSIC),
).with_result_backend(RedisAsyncResultBackend(os.environ["BENCH_REDIS_URL"], keep_results=False))


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_customer(state: TaskiqState) -> None:
    """One HTTP session for the worker."""
    state.customer = Customer()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_customer(state: TaskiqState) -> None:
    """Close it."""
    await state.customer.close()


@broker.task
async def create_client(
    client: dict[str, str],
    context: Context = TaskiqDepends(),  # noqa: B008 - as its guide writes it
) -> dict[str, Any]:
    """Call the upstream."""
    return await context.state.customer.create(client)
