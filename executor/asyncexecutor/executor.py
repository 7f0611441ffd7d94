"""One executor: its intake, its leases and its place on the roster, from start to drain."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import structlog

from asyncexecutor.breakers import Breakers
from asyncexecutor.callback_calls import CallbackCalls
from asyncexecutor.deliverer import Deliverer
from asyncexecutor.heartbeat import HeartbeatLoop
from asyncexecutor.intake import Intake
from asyncexecutor.leases import Leases
from asyncexecutor.metrics import METRICS
from asyncexecutor.misses import Misses
from asyncexecutor.polls import Polls
from asyncexecutor.progress import ProgressWriter
from asyncexecutor.runnables import Runnables
from asyncexecutor.running_attempts import RunningAttempts
from asyncexecutor.served_operations import ServedOperations
from asyncexecutor.worker import Worker
from asynctasks.errors import SettingsError
from asynctasks.limits.gates import Gates
from asynctasks.loop import fault_of
from asynctasks.metrics import expose
from asynctasks.migration import check_schema
from asynctasks.operations.delivery_operation import NAME as DELIVERIES
from asynctasks.operations.delivery_operation import QUEUE as QUEUE_OF_DELIVERIES
from asynctasks.operations.sealing import Sealing
from asynctasks.probe_server import serve_probes
from asynctasks.releases import Releases
from asynctasks.statements.claims import Claimable, Claims
from asynctasks.statements.limit_states import LimitStates
from asynctasks.statements.releases import HeldTasks
from asynctasks.statements.roster import Roster
from asynctasks.statements.store import TaskStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncexecutor.runner import Runner
    from asyncexecutor.settings import ExecutorSettings
    from asynctasks.connections import Connections
    from asynctasks.loop import Loop
    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.operations.operation import Operation

LEAVE_SECONDS = 2.0
"""How long a database that hangs may hold up the end of an executor that has drained."""

log = structlog.get_logger(__name__)


async def run_executor(
    settings: ExecutorSettings,
    operations: LiveOperations,
    connections: Connections,
    *,
    queue: str,
    environment: Mapping[str, str],
    stop: asyncio.Event,
) -> None:
    """Run the queue's tasks until `stop` is set, then drain.

    Raises SettingsError, OperationsFileError, SchemaOutdatedError before it takes any.
    """
    queues = {operation.queue for operation in operations.current.values()}
    if queue not in queues:
        names = ", ".join(sorted(queues))
        raise SettingsError(f"No operation has the queue {queue!r}; the queues are: {names}")
    opened = AsyncExitStack()
    built_in: dict[str, Runner] = {}
    if queue == QUEUE_OF_DELIVERIES:
        built_in[DELIVERIES] = _deliverer(settings, connections, opened)
    sealing = Sealing(settings.keys)
    runnables = Runnables(
        concurrency=settings.concurrency,
        environment=environment,
        max_response_bytes=settings.max_response_bytes,
        built_in=built_in,
        traces=connections.traces,
    )
    await check_schema(connections.database)
    await connections.blobs.check()
    states = LimitStates(connections.database)
    gates = Gates(lambda: states.read(_of_queue(operations, queue)))
    await gates.refresh()
    held = HeldTasks(
        connections.database,
        grace_seconds=settings.publish_grace_seconds,
        window=settings.queue_window,
    )
    releases = Releases(held, connections.broker, operations)
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    claims = Claims(
        connections.database,
        connections.commits,
        executor=name,
        lease_seconds=settings.lease_seconds,
        claimable=Claimable(queue, {}),
        revision_wait_seconds=settings.revision_wait_seconds,
        on_room=lambda: releases.soon(queue),
    )
    async with opened, runnables, releases:
        running = RunningAttempts()
        worker = Worker(
            claims,
            misses=Misses(connections.database, claims),
            broker=connections.broker,
            sealing=sealing,
            blobs=connections.blobs,
            running=running,
            breakers=Breakers(states, gates),
            notes=runnables.notes,
            traces=connections.traces,
            queue=queue,
            max_interruptions=settings.max_interruptions,
        )
        served = ServedOperations(
            worker,
            claims,
            queue=queue,
            database=connections.database,
            sealing=sealing,
            runnables=runnables,
            gates=gates,
        )
        expose(METRICS)
        async with operations.followed_by(served.prepare):
            await _work(
                worker,
                running,
                claims,
                settings,
                connections,
                loops=(ProgressWriter(runnables.notes, claims).loop, gates.loop),
                name=name,
                queue=queue,
                stop=stop,
            )
    log.info("executor has drained", executor=name)


def _deliverer(
    settings: ExecutorSettings, connections: Connections, opened: AsyncExitStack
) -> Deliverer:
    """What makes callbacks, until what is opened is left; raises SettingsError."""
    if not settings.callback_keys:
        raise SettingsError("ASYNCAPIPROXY_CALLBACK_KEYS is not set: callbacks have to be signed")
    calls = CallbackCalls(
        settings.callback_keys,
        settings.callback_allow,
        settings.callback_networks,
        traces=connections.traces,
    )
    opened.callback(calls.close)
    store = TaskStore(connections.database, connections.commits)
    return Deliverer(calls, store, settings.public_url)


async def _work(
    worker: Worker,
    running: RunningAttempts,
    claims: Claims,
    settings: ExecutorSettings,
    connections: Connections,
    *,
    loops: Sequence[Loop],
    name: str,
    queue: str,
    stop: asyncio.Event,
) -> None:
    async with asyncio.TaskGroup() as tasks:
        intake = Intake(
            worker.handle, concurrency=settings.concurrency, running=running, tasks=tasks
        )
        polls = Polls(claims, worker, intake)
        leases = Leases(
            claims,
            running=running,
            lease_seconds=settings.lease_seconds,
            watch_seconds=settings.watch_seconds,
        )
        heartbeat_loop = HeartbeatLoop(
            roster=Roster(connections.database),
            intake=intake,
            name=name,
            queue=queue,
            pod=settings.pod_name,
            concurrency=settings.concurrency,
            interval_seconds=settings.roster_seconds,
        )
        consume = partial(connections.broker.consume, queue, prefetch=settings.concurrency)
        log.info("executor consumes", queue=queue, executor=name, concurrency=settings.concurrency)
        async with serve_probes(
            settings.health_port,
            healthy=lambda: fault_of((leases.loop, heartbeat_loop.loop, polls.loop, *loops)),
            ready=lambda: intake.obstacle,
        ):
            keeping = [
                tasks.create_task(loop.run(), name=loop.name) for loop in (leases.loop, *loops)
            ]
            async with intake.consuming(consume):
                heartbeats = tasks.create_task(heartbeat_loop.run(), name="roster")
                polling = tasks.create_task(polls.loop.run(), name="polls")
                await stop.wait()
                polls.loop.end()
                await asyncio.wait([polling], timeout=LEAVE_SECONDS)
                await intake.leave(drain_seconds=settings.drain_seconds)
                heartbeat_loop.loop.end()
                await asyncio.wait([heartbeats], timeout=LEAVE_SECONDS)
            for task in (heartbeats, polling, *keeping):
                task.cancel()


def _of_queue(operations: LiveOperations, queue: str) -> list[Operation]:
    return [each for each in operations.current.values() if each.queue == queue]
