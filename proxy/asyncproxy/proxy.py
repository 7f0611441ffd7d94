"""One proxy process: its application, its relay, its probes, from start to stop."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import structlog

from asyncproxy import limit_metrics
from asyncproxy.access.access_watch import AccessWatch, told_of
from asyncproxy.access.audit import Audit, log_entry
from asyncproxy.access.audit_table import audit_table
from asyncproxy.access.metrics import METRICS as ACCESS_METRICS
from asyncproxy.access.quotas import Quotas
from asyncproxy.access.trusted_headers import without_claims
from asyncproxy.admission import Admission
from asyncproxy.application import Application
from asyncproxy.body_budget import BodyBudget
from asyncproxy.cors import with_cors, without_foreign_pages
from asyncproxy.fast_path import FastPath
from asyncproxy.forwarded import PublicAddress, TrustedProxies
from asyncproxy.health_routes import HealthEndpoints
from asyncproxy.metrics import METRICS
from asyncproxy.overview import OverviewReader
from asyncproxy.probes import Probe
from asyncproxy.queue_windows import QueueWindows
from asyncproxy.relay.relay import relay_loops
from asyncproxy.replies import listening_replies
from asyncproxy.request_log import with_request_log
from asyncproxy.server import limits_of, serve, url_of
from asyncproxy.settings import AuditPlace
from asyncproxy.stranded import StrandedQueues
from asyncproxy.watch import Watch
from asynctasks.limits.gates import Gates
from asynctasks.loop import fault_of
from asynctasks.metrics import expose
from asynctasks.migration import check_schema
from asynctasks.operations.operation import callable_ones, more_attempts
from asynctasks.operations.sealing import Sealing
from asynctasks.probe_server import serve_probes
from asynctasks.releases import Releases
from asynctasks.reserved_places import ReservedPlaces
from asynctasks.statements.batch_steps import BatchSteps
from asynctasks.statements.batches import Batches
from asynctasks.statements.limit_states import LimitStates
from asynctasks.statements.proxies import Proxies
from asynctasks.statements.releases import HeldTasks
from asynctasks.statements.revisions import register_revisions
from asynctasks.statements.roster import Roster
from asynctasks.statements.store import TaskStore
from asynctasks.statements.task_counts import TaskCounts
from asynctasks.statements.upkeep import Upkeep

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from asyncproxy.access.access import Access
    from asyncproxy.replies import Replies
    from asyncproxy.settings import ProxySettings
    from asynctasks.connections import Connections
    from asynctasks.database import Database
    from asynctasks.limits.limit_state import Standing
    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.operations.operation import Operations

log = structlog.get_logger(__name__)


async def run_proxy(
    settings: ProxySettings,
    operations: LiveOperations,
    connections: Connections,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    access: Access | None = None,
) -> None:
    """Serve until `stop` is set, everyone where there is no `access` to ask.

    Raises SettingsError, AccessFileError, SealingKeyMissingError, SchemaOutdatedError before it
    serves.
    """
    sealing = Sealing(settings.keys)
    await check_schema(connections.database)
    await connections.blobs.check()
    expose(METRICS)
    proxy = Proxy(settings, operations, connections, sealing=sealing, access=access)
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
        access: Access | None,
    ) -> None:
        database, broker = connections.database, connections.broker
        upkeep, roster = Upkeep(database), Roster(database)
        self._settings = settings
        self._operations = operations
        self._connections = connections
        self._sealing = sealing
        self._access_watch = AccessWatch(settings.access_file) if settings.access_file else None
        if self._access_watch is not None:
            access = self._access_watch.access
        self._access = access
        self._quotas = _quotas(access, database)
        self._store = TaskStore(database, connections.commits)
        self._watch = Watch(
            self._store,
            interval_seconds=settings.watch_interval_seconds,
            max_watched=settings.max_waiting,
        )
        held = HeldTasks(
            database, grace_seconds=settings.publish_grace_seconds, window=settings.queue_window
        )
        self._releases = Releases(held, broker, operations)
        self._places = ReservedPlaces(held, operations)
        self._asgi = FastPath()
        self._queues: set[str] = set()
        windows = QueueWindows(held, self._queues)
        stranded = StrandedQueues(roster, operations)
        admission = Admission(
            upkeep, settings, on_sample=stranded.look, waits_apart=self._waits_apart
        )
        proxies = TrustedProxies(settings.trusted_proxies)
        self._public = PublicAddress(settings.public_url, proxies)
        self._audit_table = access and audit_table(settings, database)
        if access is not None:
            write = None if settings.audit is AuditPlace.OFF else log_entry
            table = self._audit_table
            access.audit = Audit(write if table is None else table.write, proxies)
        batches = Batches(database)
        self._limit_states = LimitStates(database)
        self._gates = Gates(self._read_standing)
        self._database_probe = Probe("database", database.ping)
        self._broker_probe = Probe("broker", broker.ping)
        self._application = Application(
            settings=settings,
            connections=connections,
            sealing=sealing,
            access=access,
            ways=self._access_watch and self._access_watch.ways,
            quotas=self._quotas,
            public=self._public,
            store=self._store,
            watch=self._watch,
            admission=admission,
            gates=self._gates,
            releases=self._releases,
            places=self._places,
            windows=windows,
            bodies=BodyBudget(settings.max_held_body_bytes),
            batches=batches,
            limit_states=self._limit_states,
            overviews=OverviewReader(
                states=self._limit_states,
                counts=TaskCounts(database),
                roster=roster,
                seconds=settings.list_seconds,
            ),
            health=HealthEndpoints(
                database=self._database_probe,
                broker=self._broker_probe,
                stranded=stranded,
                has_access_file=access is not None,
            ),
        )
        self._loops = (
            self._database_probe.loop,
            self._broker_probe.loop,
            self._watch.loop,
            admission.loop,
            self._gates.loop,
            windows.loop,
            *(() if self._audit_table is None else self._audit_table.loops),
            *(() if self._access_watch is None else self._access_watch.loops),
            *(() if self._quotas is None else (self._quotas.shares.loop,)),
            *relay_loops(
                store=self._store,
                upkeep=upkeep,
                roster=roster,
                held=held,
                releases=self._releases,
                broker=broker,
                blobs=connections.blobs,
                settings=settings,
                queues=self._queues,
                operations=operations,
                batches=batches,
                batch_steps=BatchSteps(
                    database=database,
                    more_attempts=lambda name: more_attempts(operations.current, name),
                    bounds=self._quotas and self._quotas.bounds_of_owner,
                ),
                audit=access and access.audit.write,
            ),
        )

    async def run(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; raises what ends a loop."""
        await self._begin_access()
        async with (
            listening_replies(
                self._settings.reply_strategy,
                broker=self._connections.broker,
                store=self._store,
            ) as replies,
            self._operations.followed_by(partial(self._prepare, replies)),
            serve_probes(
                self._settings.health_port,
                healthy=lambda: fault_of((*self._loops, *replies.loops)),
                ready=lambda: self._database_probe.finding.detail,
            ),
            self._quotas.shares.counted() if self._quotas else nullcontext(),
            self._releases,
            self._places,
            asyncio.TaskGroup() as tasks,
        ):
            for probe in (self._database_probe, self._broker_probe):
                await probe.ask()
            # Should one of these die the group ends the server too, and the process with it.
            running = [tasks.create_task(loop.run(), name=loop.name) for loop in self._loops]
            await self._serve(replies, listener, stop)
            for task in running:
                task.cancel()
        if self._audit_table is not None:
            await self._audit_table.close()

    async def _read_standing(self) -> Standing:
        operations = self._operations.current.values()
        standing = await self._limit_states.read_with_running(operations)
        limit_metrics.show(standing)
        return standing

    async def _serve(self, replies: Replies, listener: socket.socket, stop: asyncio.Event) -> None:
        def release_callers() -> None:
            replies.release_all()
            self._watch.release_all()

        operations = sorted(callable_ones(self._operations.current))
        log.info("proxy listens", url=url_of(listener), operations=operations)
        app: ASGIApp = self._asgi
        if self._access_watch is not None:
            app = without_claims(app, self._access_watch.header_reader)
        await serve(
            with_request_log(
                with_cors(app, self._settings.cors_origins), is_on=self._settings.request_log
            ),
            listener=listener,
            stop=stop,
            limits=limits_of(self._settings),
            linger_seconds=self._settings.linger_seconds,
            shutdown_seconds=self._settings.shutdown_seconds,
            on_stopping=release_callers,
        )

    async def _begin_access(self) -> None:
        """Say who may call, and know the keys of those who sign tokens before the first one comes.

        An issuer that is away keeps nobody else waiting for longer than it takes to see that.
        """
        watch = self._access_watch
        if self._access is None:
            log.warning(
                "no access file: everyone who reaches this port may read, cancel and delete all"
                " tasks",
                setting="ASYNCAPIPROXY_ACCESS_FILE",
            )
        if watch is not None:
            expose(ACCESS_METRICS)
            await watch.fetch_keys()
            log.info("callers are told apart", **told_of(watch.file))

    def _waits_apart(self, name: str) -> bool:
        operation = self._operations.current.get(name)
        if operation is None:
            return False
        return bool(operation.limits) or self._gates.is_paused(operation)

    async def _prepare(self, replies: Replies, operations: Operations) -> Callable[[], None]:
        """Make ready to serve these operations.

        Their queues and revisions are there before any call is taken. Raises
        SealingKeyMissingError, DatabaseUnavailableError.
        """
        self._sealing.require_key(name for name, op in operations.items() if op.needs_sealing)
        await register_revisions(self._connections.database, operations)
        queues = {operation.queue for operation in operations.values()}
        await self._connections.broker.add_queues(queues)
        self._queues.update(queues)
        # In a thread: it takes a while for hundreds of operations, and callers are being served.
        app, calls = await asyncio.to_thread(self._application.serving, operations, replies)
        app = without_foreign_pages(app, self._settings.cors_origins, self._public)
        return partial(self._asgi.lead_to, app, calls)


def _quotas(access: Access | None, database: Database) -> Quotas | None:
    return None if access is None else Quotas(lambda: access.quotas, Proxies(database))
