"""One operator, from standing by to its end: leads by a Lease, and runs the loops while it does."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from asyncoperator.cluster.credentials import sign_in
from asyncoperator.cluster.kube import Kube
from asyncoperator.cluster.leader import Leader, LeadershipLostError
from asyncoperator.cluster.neighbours import Neighbours
from asyncoperator.cluster.owner import owner_reference
from asyncoperator.metrics import LEADING, METRICS
from asyncoperator.mirror.handlers import register
from asyncoperator.mirror.kopf_thread import KopfThread
from asyncoperator.mirror.loop import MirrorLoop
from asyncoperator.mirror.object_cache import ObjectCache
from asyncoperator.mirror.submitter import Submitter
from asyncoperator.mirror.write_budget import WriteBudget
from asyncoperator.scaling.loop import PoolsLoop
from asynctasks.errors import AsyncApiProxyError
from asynctasks.loop import Loop, fault_of
from asynctasks.metrics import expose
from asynctasks.migration import check_schema
from asynctasks.operations.operation import callable_ones
from asynctasks.probe_server import serve_probes
from asynctasks.statements.demand import DemandReader
from asynctasks.statements.limit_states import LimitStates
from asynctasks.statements.mirroring import Mirroring
from asynctasks.statements.roster import Roster
from asynctasks.statements.store import TaskStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from asyncoperator.cluster.custom_object import Object
    from asyncoperator.mirror.asynctask import ObservedTask
    from asyncoperator.settings import OperatorSettings
    from asynctasks.connections import Connections
    from asynctasks.operations.operation import Operations

LOST = 1
"""The exit status of an operator that must not act any more."""

log = structlog.get_logger(__name__)


class CrdsMissingError(AsyncApiProxyError):
    """The CustomResourceDefinitions of asyncapiproxy.dev are not there: apply the chart's crds/."""


async def run_operator(
    settings: OperatorSettings,
    operations: Operations,
    connections: Connections,
    *,
    stop: asyncio.Event,
) -> None:
    """Stand by, and lead when it is our turn, until `stop` is set; then let another lead.

    A Lease that is lost ends the process at once. Raises SettingsError, SchemaOutdatedError,
    CrdsMissingError, DatabaseUnavailableError before it acts, and what ends a
    loop.
    """
    await check_schema(connections.database)
    configuration, namespace = await sign_in(settings.kubeconfig)
    expose(METRICS)
    async with Kube(configuration, namespace=settings.namespace or namespace) as kube:
        leader = Leader(
            kube,
            settings.lease_name,
            f"{settings.pod_name or socket.gethostname()}-{secrets.token_hex(3)}",
            settings.installation,
            lease_seconds=settings.leader_lease_seconds,
            renew_seconds=settings.leader_renew_seconds,
            retry_seconds=settings.leader_retry_seconds,
        )
        operator = Operator(settings, operations, connections, kube, leader)
        async with serve_probes(
            settings.health_port, healthy=operator.fault, ready=lambda: leader.obstacle
        ):
            await operator.run(stop)


class Operator:
    """One candidate for leadership, and the loops that it runs as the leader."""

    def __init__(
        self,
        settings: OperatorSettings,
        operations: Operations,
        connections: Connections,
        kube: Kube,
        leader: Leader,
    ) -> None:
        self._settings = settings
        self._operations = operations
        self._connections = connections
        self._kube = kube
        self._leader = leader
        self._kopf: KopfThread | None = None
        self._loops: Sequence[Loop] = ()

    def fault(self) -> str | None:
        """What has stopped, for /healthz."""
        fault = fault_of((*self._leader.loops, *self._loops))
        return fault or (None if self._kopf is None else self._kopf.fault)

    async def run(self, stop: asyncio.Event) -> None:
        """Stand by, lead, and stop."""
        log.info("operator stands by", namespace=self._kube.namespace, name=self._leader.identity)
        await _until(stop, self._leader.acquire())
        if not self._leader.is_leading:
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                holding = tasks.create_task(self._hold(), name="lease")
                LEADING.set(1)
                await self._lead(stop)
                holding.cancel()
        finally:
            LEADING.set(0)
            await self._leader.release()
        log.info("operator has stopped")

    async def _hold(self) -> None:
        try:
            await self._leader.hold()
        except LeadershipLostError as error:
            # At once: what is cleaned up might still act, and another may lead by now.
            log.critical("operator ends", reason=str(error))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(LOST)

    async def _lead(self, stop: asyncio.Event) -> None:
        """Run the loops until `stop` is set; raises what ends one of them."""
        await self._check_definitions()
        try:
            await self._run_loops(stop)
        except BaseExceptionGroup:
            await self._check_definitions()
            raise

    async def _check_definitions(self) -> None:
        """Raise CrdsMissingError where they are not there, or go."""
        if not await self._kube.serves_ours():
            # With them went the objects, and nobody asked for any task's end.
            await Mirroring(self._connections.database).release_objects(self._kube.namespace)
            raise CrdsMissingError

    async def _run_loops(self, stop: asyncio.Event) -> None:
        mirror = self._mirror(await owner_reference(self._kube, self._settings))
        call_soon = asyncio.get_running_loop().call_soon_threadsafe
        self._kopf = KopfThread(
            lambda registry: register(registry, lambda seen: _see(call_soon, mirror, seen)),
            kubeconfig=self._settings.kubeconfig,
            namespace=self._kube.namespace,
        )
        self._loops = (mirror.loop, self._scaling(mirror).loop)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._kopf.run(), name="kopf")]
            running += [tasks.create_task(loop.run(), name=loop.name) for loop in self._loops]
            await stop.wait()
            for each in running:
                each.cancel()

    def _mirror(self, owner: Object | None) -> MirrorLoop:
        settings, connections = self._settings, self._connections
        store = TaskStore(connections.database, connections.commits)
        submitter = Submitter(
            store,
            callable_ones(self._operations),
            self._kube,
            Neighbours(self._kube, settings.installation),
            callback_urls=settings.callback_allow,
            traces=connections.traces,
        )
        return MirrorLoop(
            kube=self._kube,
            mirroring=Mirroring(connections.database),
            submitter=submitter,
            objects=ObjectCache(),
            budget=WriteBudget(
                per_second=settings.mirror_writes_per_second, burst=settings.mirror_write_burst
            ),
            settings=settings,
            owner=owner,
        )

    def _scaling(self, mirror: MirrorLoop) -> PoolsLoop:
        database = self._connections.database
        return PoolsLoop(
            kube=self._kube,
            demand=DemandReader(database),
            roster=Roster(database),
            limit_states=LimitStates(database),
            operations=self._operations,
            broker=self._connections.broker,
            neighbours=Neighbours(self._kube, self._settings.installation),
            tick_seconds=self._settings.scaling_tick_seconds,
            mirror_is_degraded=lambda: mirror.is_degraded,
        )


def _see(call_soon: Callable[..., object], mirror: MirrorLoop, seen: ObservedTask) -> None:
    with suppress(RuntimeError):  # the main loop has ended, and kopf not yet
        call_soon(mirror.see, seen)


async def _until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do the work, unless `stop` is set before it is done."""
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work)
        stopping = tasks.create_task(stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        stopping.cancel()
