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
from asyncproxy.app import create_app
from asyncproxy.batch_routes import BatchEndpoints
from asyncproxy.body_budget import BodyBudget
from asyncproxy.callback_routes import CallbackEndpoints
from asyncproxy.caller_routes import CallerEndpoints
from asyncproxy.cors import with_cors, without_foreign_pages
from asyncproxy.fast_path import FastPath
from asyncproxy.forwarded import PublicAddress, TrustedProxies
from asyncproxy.health_routes import HealthEndpoints
from asyncproxy.holds import Holds
from asyncproxy.many_calls import many_calls_endpoints
from asyncproxy.metrics import METRICS
from asyncproxy.operating_routes import OperatingEndpoints
from asyncproxy.operation_routes import operation_endpoints
from asyncproxy.overview import OverviewReader
from asyncproxy.probes import Probe
from asyncproxy.queue_windows import QueueWindows
from asyncproxy.relay.relay import relay_loops
from asyncproxy.replies import listening_replies
from asyncproxy.request_log import with_request_log
from asyncproxy.server import limits_of, serve, url_of
from asyncproxy.settings import AuditPlace
from asyncproxy.stranded import StrandedQueues
from asyncproxy.submission import Submission
from asyncproxy.task_routes import TaskEndpoints
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
from asynctasks.statements.batch_search import BatchSearch
from asynctasks.statements.batch_steps import BatchSteps
from asynctasks.statements.batches import Batches
from asynctasks.statements.deliveries import Deliveries
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
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp

    from asyncproxy.access.access import Access
    from asyncproxy.operation_routes import Endpoint
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
        database = self._database = connections.database
        self._broker = connections.broker
        self._blobs = connections.blobs
        self._traces = connections.traces
        upkeep, roster = Upkeep(database), Roster(database)
        self._settings = settings
        self._operations = operations
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
        self._releases = Releases(held, self._broker, operations)
        self._places = ReservedPlaces(held, operations)
        self._asgi = FastPath()
        self._queues: set[str] = set()
        self._windows = QueueWindows(held, self._queues)
        self._stranded = StrandedQueues(roster, operations)
        self._admission = Admission(
            upkeep, settings, on_sample=self._stranded.look, waits_apart=self._waits_apart
        )
        self._bodies = BodyBudget(settings.max_held_body_bytes)
        proxies = TrustedProxies(settings.trusted_proxies)
        self._public = PublicAddress(settings.public_url, proxies)
        self._audit_table = access and audit_table(settings, database)
        if access is not None:
            write = None if settings.audit is AuditPlace.OFF else log_entry
            table = self._audit_table
            access.audit = Audit(write if table is None else table.write, proxies)
        self._batches = Batches(database)
        self._limit_states = LimitStates(database)
        self._gates = Gates(self._read_standing)
        self._overviews = OverviewReader(
            states=self._limit_states,
            counts=TaskCounts(database),
            roster=roster,
            seconds=settings.list_seconds,
        )
        self._database_probe = Probe("database", database.ping)
        self._broker_probe = Probe("broker", self._broker.ping)
        self._loops = (
            self._database_probe.loop,
            self._broker_probe.loop,
            self._watch.loop,
            self._admission.loop,
            self._gates.loop,
            self._windows.loop,
            *(() if self._audit_table is None else self._audit_table.loops),
            *(() if self._access_watch is None else self._access_watch.loops),
            *(() if self._quotas is None else (self._quotas.shares.loop,)),
            *relay_loops(
                store=self._store,
                upkeep=upkeep,
                roster=roster,
                held=held,
                releases=self._releases,
                broker=self._broker,
                blobs=self._blobs,
                settings=settings,
                queues=self._queues,
                operations=operations,
                batches=self._batches,
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
                self._settings.reply_strategy, broker=self._broker, store=self._store
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

    def _submission(self, replies: Replies) -> Submission:
        return Submission(
            store=self._store,
            broker=self._broker,
            replies=replies,
            watch=self._watch,
            admission=self._admission,
            gates=self._gates,
            releases=self._releases,
            places=self._places,
            windows=self._windows,
            sealing=self._sealing,
            blobs=self._blobs,
            settings=self._settings,
            traces=self._traces,
        )

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
        await register_revisions(self._database, operations)
        queues = {operation.queue for operation in operations.values()}
        await self._broker.add_queues(queues)
        self._queues.update(queues)
        # In a thread: it takes a while for hundreds of operations, and callers are being served.
        app, calls = await asyncio.to_thread(self._application, operations, replies)
        app = without_foreign_pages(app, self._settings.cors_origins, self._public)
        return partial(self._asgi.lead_to, app, calls)

    def _application(
        self, operations: Operations, replies: Replies
    ) -> tuple[ASGIApp, Mapping[tuple[str, str], Endpoint]]:
        holds = Holds(self._gates, operations)
        called = callable_ones(operations)
        calls = operation_endpoints(
            called,
            submission=self._submission(replies),
            admission=self._admission,
            bodies=self._bodies,
            holds=holds,
            public=self._public,
            access=self._access,
            quotas=self._quotas,
            traces=self._traces,
        ) | many_calls_endpoints(
            called,
            submission=self._submission(replies),
            bodies=self._bodies,
            public=self._public,
            access=self._access,
            quotas=self._quotas,
            traces=self._traces,
        )
        app = create_app(
            called,
            calls=calls,
            tasks=self._tasks(operations, holds),
            batches=self._batch_endpoints(),
            operating=self._operating(operations),
            callbacks=self._callbacks(),
            callers=CallerEndpoints(access=self._access),
            health=self._health(),
            ways=self._access_watch and self._access_watch.ways,
            has_docs=self._settings.docs,
            has_dashboard=self._settings.ui,
        )
        return app, calls

    def _tasks(self, operations: Operations, holds: Holds) -> TaskEndpoints:
        return TaskEndpoints(
            store=self._store,
            watch=self._watch,
            admission=self._admission,
            broker=self._broker,
            blobs=self._blobs,
            operations=operations,
            holds=holds,
            max_wait_seconds=self._settings.max_wait_seconds,
            list_seconds=self._settings.list_seconds,
            public=self._public,
            access=self._access,
            quotas=self._quotas,
        )

    def _batch_endpoints(self) -> BatchEndpoints:
        return BatchEndpoints(
            batches=self._batches,
            search=BatchSearch(self._database, seconds=self._settings.list_seconds),
            bodies=self._bodies,
            public=self._public,
            access=self._access,
        )

    def _callbacks(self) -> CallbackEndpoints:
        return CallbackEndpoints(
            store=self._store,
            deliveries=Deliveries(self._database),
            public_keys=self._settings.callback_keys.public_jwks(),
            are_on=bool(self._settings.callback_allow),
            public=self._public,
            access=self._access,
        )

    def _operating(self, operations: Operations) -> OperatingEndpoints:
        return OperatingEndpoints(
            states=self._limit_states,
            overviews=self._overviews,
            gates=self._gates,
            operations=operations,
            bodies=self._bodies,
            access=self._access,
        )

    def _health(self) -> HealthEndpoints:
        return HealthEndpoints(
            database=self._database_probe,
            broker=self._broker_probe,
            stranded=self._stranded,
            has_access_file=self._access is not None,
        )


def _quotas(access: Access | None, database: Database) -> Quotas | None:
    return None if access is None else Quotas(lambda: access.quotas, Proxies(database))
