"""Scales all pools: reads the demand of their queues together, and lets each take its step."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from asyncoperator.cluster.custom_object import installation_of
from asyncoperator.cluster.kube_errors import (
    KubeGoneError,
    KubeRefusedError,
    KubeThrottledError,
    KubeUnavailableError,
)
from asyncoperator.scaling.executorpool import PLURAL, refused_status
from asyncoperator.scaling.pausing import follow_pauses
from asyncoperator.scaling.pool import Pool, Reading
from asyncoperator.scaling.startable import Startables
from asynctasks.errors import BrokerUnavailableError, DatabaseUnavailableError
from asynctasks.instants import utc_now
from asynctasks.limits.gates import Gates
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncoperator.cluster.kube import Kube
    from asyncoperator.cluster.neighbours import Neighbours
    from asynctasks.broker.protocol import Broker
    from asynctasks.operations.operation import Operations
    from asynctasks.statements.demand import Demand, DemandReader
    from asynctasks.statements.limit_states import LimitStates
    from asynctasks.statements.roster import Roster

MISSING_SECONDS = 60.0
"""A queued task may be without a message for so long: the relay publishes it within seconds."""
BROKER_SECONDS = 1.0
"""The broker's count is only a check: a tick does not wait for it any longer."""
LONGEST_SECONDS = 600.0
"""Of the past, a tick never reads more: after an outage the first one would read all of it."""

log = structlog.get_logger(__name__)


class PoolsLoop:
    """Scales the executors of all ExecutorPools while this operator leads."""

    def __init__(
        self,
        *,
        kube: Kube,
        demand: DemandReader,
        roster: Roster,
        limit_states: LimitStates,
        operations: Operations,
        broker: Broker,
        neighbours: Neighbours,
        tick_seconds: float,
        mirror_is_degraded: Callable[[], bool],
    ) -> None:
        self._kube = kube
        self._demand = demand
        self._roster = roster
        self._limit_states = limit_states
        self._operations = operations
        self._gates = Gates(lambda: limit_states.read_with_running(operations.values()))
        self._broker = broker
        self._neighbours = neighbours
        self._tick_seconds = tick_seconds
        self._mirror_is_degraded = mirror_is_degraded
        self._pools: dict[str, Pool] = {}
        self._missing_since: dict[str, float] = {}
        self._read_at: float | None = None
        self.loop = Loop(
            "scaling",
            self.tick,
            interval_seconds=tick_seconds,
            waits_for=(DatabaseUnavailableError, KubeUnavailableError, KubeThrottledError),
            pause_after=self._pause_after,
        )

    async def tick(self) -> None:
        """Let every pool take a step."""
        await self._see(await self._ours(await self._kube.list(PLURAL)))
        now = self._now
        demands = await self._read(now)
        startables = Startables(self._operations, self._gates, demands)
        for pool in self._pools.values():
            try:
                await pool.step(
                    await self._reading(pool, demands, startables, now=now),
                    mirror_is_degraded=self._mirror_is_degraded(),
                )
            except KubeRefusedError as error:
                log.error("pool not scaled", queue=pool.spec.queue, reason=str(error))  # noqa: TRY400

    async def _reading(
        self,
        pool: Pool,
        demands: Mapping[str, Demand],
        startables: Startables,
        *,
        now: float,
    ) -> Reading:
        queue = pool.spec.queue
        if queue not in demands:
            return Reading(now=now, demand=None)
        seconds = pool.spec.config.target_drain_seconds
        return Reading(
            now=now,
            demand=demands[queue],
            startable=startables.of(queue, seconds=seconds),
            missing=await self._missing(queue, demands[queue]),
        )

    def _pause_after(self, error: Exception, _failures: int) -> float:
        if isinstance(error, KubeThrottledError):
            return max(self._tick_seconds, error.retry_after_seconds)
        return self._tick_seconds

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _ours(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of our installation; one that may be another's as well is told so."""
        ours: list[dict[str, Any]] = []
        for body in bodies:
            installation = installation_of(body)
            unclear = None if installation else await self._neighbours.ambiguity()
            if unclear is not None:
                await self._refuse(body, unclear)
            elif installation in (None, self._neighbours.installation):
                ours.append(body)
        return ours

    async def _refuse(self, body: dict[str, Any], message: str) -> None:
        status, metadata = refused_status(body, message=message, now=utc_now()), body["metadata"]
        with suppress(KubeGoneError):
            if status is not None:
                await self._kube.apply_status(PLURAL, metadata["name"], status, uid=metadata["uid"])

    async def _see(self, bodies: list[dict[str, Any]]) -> None:
        seen = {body["metadata"]["uid"]: body for body in bodies}
        for uid in self._pools.keys() - seen.keys():
            await self._pools[uid].abandon()
            del self._pools[uid]
        for uid, body in seen.items():
            if uid in self._pools:
                self._pools[uid].see(body)
            else:
                self._pools[uid] = Pool(body, kube=self._kube, roster=self._roster)

    async def _read(self, now: float) -> dict[str, Demand]:
        """The demand of every queue, limits and pauses; of none where the database is away."""
        since = self._tick_seconds if self._read_at is None else now - self._read_at
        queues = {pool.spec.queue for pool in self._pools.values()}
        # What other queues have in hand leaves less room under the limits that they share.
        queues |= {each.queue for each in self._operations.values() if each.limits}
        try:
            await self._gates.refresh()
            specs = {pool.name: pool.spec for pool in self._pools.values()}
            await follow_pauses(specs, self._gates.pauses, self._limit_states)
            demands = await self._demand.read(queues, seconds=min(since, LONGEST_SECONDS))
        except DatabaseUnavailableError as error:
            log.warning("demand unknown", reason=str(error))
            return {}
        self._read_at = now
        return demands

    async def _missing(self, queue: str, demand: Demand) -> int:
        """How many queued tasks the broker has had no message of for too long.

        Only a check: where the broker does not answer, nothing is said.
        """
        missing, with_message = 0, demand.queued - demand.held
        if with_message > demand.running:
            try:
                async with asyncio.timeout(BROKER_SECONDS):
                    ready = await self._broker.count_ready(queue)
            except (BrokerUnavailableError, TimeoutError):
                return 0
            missing = with_message - ready - demand.running
        if missing <= 0:
            self._missing_since.pop(queue, None)
            return 0
        since = self._missing_since.setdefault(queue, self._now)
        if self._now - since <= MISSING_SECONDS:
            return 0
        log.warning("messages missing", queue=queue, queued=with_message, missing=missing)
        return missing
