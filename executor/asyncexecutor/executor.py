"""One executor process: its subscription and its leases, from start to drain."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import structlog

from asyncexecutor.handler import Handler
from asyncexecutor.leases import keep_leases
from asyncexecutor.runner import Runnable
from asyncexecutor.upstream import Upstream, upstream_session
from asyncexecutor.worker import Worker
from asynctasks.claims import Claims
from asynctasks.errors import SettingsError
from asynctasks.migration import check_schema
from asynctasks.sealing import Sealing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager

    import aiohttp

    from asyncexecutor.runner import Runner
    from asyncexecutor.settings import ExecutorSettings
    from asynctasks.broker import Consumption, Delivery
    from asynctasks.connections import Connections
    from asynctasks.operation import Operation, Operations

RECORD_SECONDS = 5.0
"""After the drain: how long the interrupted attempts get to be recorded."""

log = structlog.get_logger(__name__)


async def run_executor(
    settings: ExecutorSettings,
    operations: Operations,
    connections: Connections,
    *,
    queue: str,
    environment: Mapping[str, str],
    stop: asyncio.Event,
) -> None:
    """Run the queue's tasks until `stop` is set, then drain.

    Raises SettingsError, OperationsFileError, SchemaOutdatedError before it takes any.
    """
    served = {name: op for name, op in operations.items() if op.queue == queue}
    if not served:
        queues = ", ".join(sorted({op.queue for op in operations.values()}))
        raise SettingsError(f"No operation has the queue {queue!r}; the queues are: {queues}")
    sealing = Sealing(settings.keys)
    sealing.require_key(name for name, op in served.items() if op.schema.write_only)
    await check_schema(connections.database)
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    claims = Claims(
        connections.database,
        connections.commits,
        executor=name,
        lease_seconds=settings.lease_seconds,
    )
    async with upstream_session(connections=settings.concurrency) as session:
        runnables = {
            op_name: Runnable(op, _runner(op, session, settings, environment))
            for op_name, op in served.items()
        }
        worker = Worker(
            claims,
            connections.broker,
            runnables,
            sealing,
            max_interruptions=settings.max_interruptions,
        )
        leases = keep_leases(
            worker,
            claims,
            lease_seconds=settings.lease_seconds,
            watch_seconds=settings.watch_seconds,
        )
        consuming = partial(connections.broker.consume, queue, prefetch=settings.concurrency)
        log.info("executor consumes", queue=queue, executor=name, concurrency=settings.concurrency)
        await _work(worker, leases, consuming, stop=stop, drain_seconds=settings.drain_seconds)
    log.info("executor has drained", executor=name)


async def _work(
    worker: Worker,
    leases: Coroutine[Any, Any, NoReturn],
    consuming: Callable[..., AbstractAsyncContextManager[Consumption]],
    *,
    stop: asyncio.Event,
    drain_seconds: float,
) -> None:
    handling: set[asyncio.Task[None]] = set()

    async with asyncio.TaskGroup() as tasks:

        def on_delivery(delivery: Delivery) -> None:
            task = tasks.create_task(worker.handle(delivery))
            handling.add(task)
            task.add_done_callback(handling.discard)

        keeping = tasks.create_task(leases, name="leases")
        async with consuming(on_delivery=on_delivery) as consumption:
            await stop.wait()
            log.info("executor drains", running=len(worker.running))
            await consumption.stop()
            await _drain(worker, handling, drain_seconds)
        keeping.cancel()


async def _drain(worker: Worker, handling: set[asyncio.Task[None]], seconds: float) -> None:
    if handling:
        await asyncio.wait(handling, timeout=seconds)
    if handling:
        log.warning("attempts interrupted by the drain", running=len(worker.running))
        worker.stop_all()
        await asyncio.wait(handling, timeout=RECORD_SECONDS)
    for task in handling:
        # The database is away: the leases run out and the relay takes the tasks up again.
        task.cancel()


def _runner(
    operation: Operation,
    session: aiohttp.ClientSession,
    settings: ExecutorSettings,
    environment: Mapping[str, str],
) -> Runner:
    if operation.handler is not None:
        return Handler(operation.name, operation.handler)
    assert operation.upstream is not None
    return Upstream(
        operation,
        operation.upstream,
        session,
        environment=environment,
        max_response_bytes=settings.max_response_bytes,
    )
