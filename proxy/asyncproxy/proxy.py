"""One proxy process: its application, its relay, its probes, from start to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from asyncproxy.admission import Admission
from asyncproxy.app import create_app
from asyncproxy.health_routes import Parts
from asyncproxy.http_protocol import HttpLimits
from asyncproxy.metrics import METRICS
from asyncproxy.probes import Probe
from asyncproxy.relay import Relay
from asyncproxy.replies import listening_replies
from asyncproxy.server import listen, serve
from asyncproxy.submission import Submission
from asyncproxy.watch import Watch
from asynctasks.metrics import expose
from asynctasks.migration import check_schema
from asynctasks.operations.sealing import Sealing
from asynctasks.statements.roster import Roster
from asynctasks.statements.store import TaskStore
from asynctasks.statements.upkeep import Upkeep

if TYPE_CHECKING:
    from asyncproxy.settings import ProxySettings
    from asynctasks.connections import Connections
    from asynctasks.operations.operation import Operations

log = structlog.get_logger(__name__)


async def run_proxy(
    settings: ProxySettings, operations: Operations, connections: Connections, stop: asyncio.Event
) -> None:
    """Serve until `stop` is set.

    Raises SettingsError, SealingKeyMissingError, SchemaOutdatedError before it listens.
    """
    sealing = Sealing(settings.keys)
    sealing.require_key(name for name, op in operations.items() if op.schema.write_only)
    listener = listen(settings.host, settings.port)
    await check_schema(connections.database)
    store = TaskStore(connections.database, connections.commits)
    broker = connections.broker
    parts = Parts(
        database=Probe("database", connections.database.ping), broker=Probe("broker", broker.ping)
    )
    upkeep = Upkeep(connections.database)
    relay = Relay(store, upkeep, Roster(connections.database), broker, settings)
    watch = Watch(
        store,
        interval_seconds=settings.watch_interval_seconds,
        max_watched=settings.max_waiting,
    )
    admission = Admission(upkeep, settings)
    expose(METRICS)
    async with (
        listening_replies(settings.reply_strategy, broker=broker, store=store) as replies,
        asyncio.TaskGroup() as tasks,
    ):
        submission = Submission(store, broker, replies, watch, admission, sealing, settings)
        app = create_app(operations, submission, parts, settings)
        for probe in (parts.database, parts.broker):
            await probe.ask()
        # Should one of these die the group ends the server too, and the process with it.
        loops = [
            tasks.create_task(parts.database.run(), name="probe database"),
            tasks.create_task(parts.broker.run(), name="probe broker"),
            tasks.create_task(relay.run(), name="relay"),
            tasks.create_task(watch.run(), name="watch"),
            tasks.create_task(admission.run(), name="admission"),
        ]

        def release_callers() -> None:
            replies.release_all()
            watch.release_all()

        host, port = listener.getsockname()[:2]
        log.info("proxy listens", url=f"http://{host}:{port}", operations=sorted(operations))
        await serve(
            app,
            listener=listener,
            stop=stop,
            limits=_limits(settings),
            linger_seconds=settings.linger_seconds,
            shutdown_seconds=settings.shutdown_seconds,
            on_stopping=release_callers,
        )
        for loop in loops:
            loop.cancel()


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
