"""One proxy process: its application, its relay, its probes, from start to stop."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from asyncproxy.admission import Admission
from asyncproxy.app import create_app
from asyncproxy.body_budget import BodyBudget
from asyncproxy.fast_path import FastPath
from asyncproxy.health_routes import HealthEndpoints
from asyncproxy.http_protocol import HttpLimits
from asyncproxy.metrics import METRICS
from asyncproxy.operation_routes import operation_endpoints
from asyncproxy.probes import Probe
from asyncproxy.relay.relay import relay_loops
from asyncproxy.replies import listening_replies
from asyncproxy.server import serve, url_of
from asyncproxy.stranded import StrandedQueues
from asyncproxy.submission import Submission
from asyncproxy.task_routes import TaskEndpoints
from asyncproxy.watch import Watch
from asynctasks.metrics import expose
from asynctasks.migration import check_schema
from asynctasks.operations.sealing import Sealing
from asynctasks.statements.revisions import register_revisions
from asynctasks.statements.roster import Roster
from asynctasks.statements.store import TaskStore
from asynctasks.statements.upkeep import Upkeep

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp

    from asyncproxy.operation_routes import Endpoint
    from asyncproxy.replies import Replies
    from asyncproxy.settings import ProxySettings
    from asynctasks.connections import Connections
    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.operations.operation import Operations

log = structlog.get_logger(__name__)


async def run_proxy(
    settings: ProxySettings,
    operations: LiveOperations,
    connections: Connections,
    listener: socket.socket,
    stop: asyncio.Event,
) -> None:
    """Serve until `stop` is set.

    Raises SettingsError, SealingKeyMissingError, SchemaOutdatedError before it serves.
    """
    sealing = Sealing(settings.keys)
    await check_schema(connections.database)
    await connections.blobs.check()
    expose(METRICS)
    proxy = Proxy(settings, operations, connections, sealing=sealing)
    await proxy.run(listener, stop)


class Proxy:
    """What answers callers, and the loops that go on beside it, in one process."""

    def __init__(
        self,
        settings: ProxySettings,
        operations: LiveOperations,
        connections: Connections,
        *,
        sealing: Sealing,
    ) -> None:
        database = self._database = connections.database
        self._broker = connections.broker
        self._blobs = connections.blobs
        upkeep, roster = Upkeep(database), Roster(database)
        self._settings = settings
        self._operations = operations
        self._sealing = sealing
        self._store = TaskStore(database, connections.commits)
        self._watch = Watch(
            self._store,
            interval_seconds=settings.watch_interval_seconds,
            max_watched=settings.max_waiting,
        )
        self._asgi = FastPath()
        self._queues: set[str] = set()
        self._stranded = StrandedQueues(roster, operations)
        self._admission = Admission(upkeep, settings, on_sample=self._stranded.look)
        self._bodies = BodyBudget(settings.max_held_body_bytes)
        self._database_probe = Probe("database", database.ping)
        self._broker_probe = Probe("broker", self._broker.ping)
        self._loops = (
            self._database_probe.loop,
            self._broker_probe.loop,
            self._watch.loop,
            self._admission.loop,
            *relay_loops(
                store=self._store,
                upkeep=upkeep,
                roster=roster,
                broker=self._broker,
                blobs=self._blobs,
                settings=settings,
                queues=self._queues,
            ),
        )

    async def run(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; raises what ends a loop."""
        async with (
            listening_replies(
                self._settings.reply_strategy, broker=self._broker, store=self._store
            ) as replies,
            self._operations.followed_by(partial(self._prepare, replies)),
            asyncio.TaskGroup() as tasks,
        ):
            for probe in (self._database_probe, self._broker_probe):
                await probe.ask()
            # Should one of these die the group ends the server too, and the process with it.
            running = [tasks.create_task(loop.run(), name=loop.name) for loop in self._loops]
            await self._serve(replies, listener, stop)
            for task in running:
                task.cancel()

    async def _serve(self, replies: Replies, listener: socket.socket, stop: asyncio.Event) -> None:
        def release_callers() -> None:
            replies.release_all()
            self._watch.release_all()

        operations = sorted(self._operations.current)
        log.info("proxy listens", url=url_of(listener), operations=operations)
        await serve(
            self._asgi,
            listener=listener,
            stop=stop,
            limits=_limits(self._settings),
            linger_seconds=self._settings.linger_seconds,
            shutdown_seconds=self._settings.shutdown_seconds,
            on_stopping=release_callers,
        )

    def _submission(self, replies: Replies) -> Submission:
        return Submission(
            store=self._store,
            broker=self._broker,
            replies=replies,
            watch=self._watch,
            admission=self._admission,
            sealing=self._sealing,
            blobs=self._blobs,
            settings=self._settings,
        )

    async def _prepare(self, replies: Replies, operations: Operations) -> Callable[[], None]:
        """Make ready to serve these operations.

        Their queues and revisions are there before any call is taken. Raises
        SealingKeyMissingError, DatabaseUnavailableError.
        """
        self._sealing.require_key(name for name, op in operations.items() if op.needs_sealing)
        await register_revisions(self._database, operations)
        queues = {operation.queue for operation in operations.values()}
        await self._broker.add_queues(queues)
        self._queues.update(queues)
        # In a thread: it takes a while for hundreds of operations, and callers are being served.
        app, calls = await asyncio.to_thread(self._application, operations, replies)
        return partial(self._asgi.lead_to, app, calls)

    def _application(
        self, operations: Operations, replies: Replies
    ) -> tuple[ASGIApp, Mapping[tuple[str, str], Endpoint]]:
        calls = operation_endpoints(
            operations,
            submission=self._submission(replies),
            admission=self._admission,
            bodies=self._bodies,
        )
        app = create_app(
            operations, calls=calls, tasks=self._tasks(operations), health=self._health(replies)
        )
        return app, calls

    def _tasks(self, operations: Operations) -> TaskEndpoints:
        return TaskEndpoints(
            store=self._store,
            watch=self._watch,
            admission=self._admission,
            broker=self._broker,
            blobs=self._blobs,
            operations=operations,
            max_wait_seconds=self._settings.max_wait_seconds,
            list_seconds=self._settings.list_seconds,
            public_url=self._settings.public_url,
        )

    def _health(self, replies: Replies) -> HealthEndpoints:
        return HealthEndpoints(
            database=self._database_probe,
            broker=self._broker_probe,
            loops=(*self._loops, *replies.loops),
            stranded=self._stranded,
        )


def _limits(settings: ProxySettings) -> HttpLimits:
    return HttpLimits(
        max_connections=settings.max_connections,
        max_url_bytes=settings.max_url_bytes,
        max_header_bytes=settings.max_header_bytes,
        keep_alive_seconds=settings.keep_alive_seconds,
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        write_seconds=settings.client_stall_seconds,
    )
