"""What scales the simulated pool: our own decisions, as shipped, and KEDA's with the HPA's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from asyncoperator.scaling.decision import History, ScalingConfig, Signals, Work, decide
from asyncoperator.scaling.removal import plan
from asynctasks.statements.roster import Executor
from benchmarks.simulation.simulated_pool import CONCURRENCY, MAX_REPLICAS, MIN_REPLICAS

if TYPE_CHECKING:
    from benchmarks.simulation.simulated_pool import Pod, Pool

TICK_SECONDS = 2
REPORT_SECONDS = 1
"""An executor hears that it is to drain when it next reports."""


class Ours:
    """asyncoperator.scaling.decision and asyncoperator.scaling.removal, every two seconds."""

    name = "AsyncApiProxy"

    def __init__(self) -> None:
        self._history = History()
        self._counted = 0
        self._config = ScalingConfig(
            concurrency=CONCURRENCY, min_replicas=MIN_REPLICAS, max_replicas=MAX_REPLICAS
        )

    def step(self, pool: Pool) -> None:
        """Scale the pool, if it is time to."""
        if pool.now % TICK_SECONDS:
            return
        executors = [_reported(pod, pool.now) for pod in pool.live if pod.ready_at < pool.now]
        consuming = [one for one in executors if not one.draining]
        replicas = len(pool.live) - len(executors) + len(consuming)
        decision = decide(
            Signals(
                now=pool.now,
                work=self._work(pool),
                replicas=replicas,
                busy=sum(one.running > 0 for one in consuming),
            ),
            self._history,
            self._config,
        )
        self._history = decision.history
        moves = plan(executors, replicas=len(pool.live), desired=decision.desired)
        for pod in pool.live:
            if pod.name in moves.drain:
                pod.drains_from = pool.now + REPORT_SECONDS
            if pod.name in moves.undrain:
                pod.drains_from = None
            if pod.name in moves.remove:
                pool.terminate(pod)
        if decision.desired > len(pool.live):
            pool.scale(decision.desired)

    def _work(self, pool: Pool) -> Work:
        finished = pool.done[self._counted :]
        self._counted = len(pool.done)
        return Work(
            queued=len(pool.queue),
            running=pool.running,
            finished=len(finished),
            mean_service_seconds=(
                sum(task.seconds for task in finished) / len(finished) if finished else None
            ),
        )


def _reported(pod: Pod, now: int) -> Executor:
    return Executor(
        name=pod.name,
        queue="simulated",
        pod=pod.name,
        concurrency=CONCURRENCY,
        running=len(pod.running),
        consuming=pod.drains_from is None or pod.drains_from > now,
        draining=pod.drains_from is not None,
        idle_seconds=None if pod.idle_since is None else now - pod.idle_since,
        age_seconds=0.0,
    )


class Keda:
    """KEDA's RabbitMQ scaler with an HPA, as their sources have it.

    `protocol` "http" counts what waits and what runs, "amqp" only what waits. The HPA looks every
    15 s, keeps to a tolerance of 10 %, and takes the most of the last `window_seconds` on its way
    down. On its way up it at most doubles, or adds four pods, unless `unlimited`.
    """

    HPA_SECONDS = 15
    TOLERANCE = 0.1

    def __init__(
        self,
        name: str,
        *,
        protocol: str = "http",
        window_seconds: int = 300,
        unlimited: bool = False,
        phase_seconds: int = 0,
    ) -> None:
        self.name = name
        self._counts_running = protocol == "http"
        self._window_seconds = window_seconds
        self._unlimited = unlimited
        self._phase = phase_seconds
        """When the HPA looks: the loads do not know."""
        self._recommended: list[tuple[int, int]] = []

    def step(self, pool: Pool) -> None:
        """Scale the pool, if it is time to."""
        if (pool.now + self._phase) % self.HPA_SECONDS:
            return
        current = len(pool.live)
        messages = len(pool.queue) + (pool.running if self._counts_running else 0)
        ratio = messages / (CONCURRENCY * current)
        desired = current
        if abs(1 - ratio) > self.TOLERANCE:
            desired = math.ceil(messages / CONCURRENCY)
        desired = max(MIN_REPLICAS, min(MAX_REPLICAS, desired))
        since = pool.now - self._window_seconds
        self._recommended = [one for one in self._recommended if one[0] > since]
        self._recommended.append((pool.now, desired))
        if desired < current:
            desired = min(current, max(replicas for _, replicas in self._recommended))
        elif not self._unlimited:
            desired = min(desired, max(current + 4, current * 2))
        pool.scale(desired)
