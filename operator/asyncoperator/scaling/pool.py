"""One ExecutorPool: reads its executors, has it decided, drains and scales, and shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from asyncoperator.cluster.custom_object import API_VERSION, Finding, conditions, timestamp
from asyncoperator.cluster.kube_errors import KubeConflictError, KubeError, KubeGoneError
from asyncoperator.metrics import (
    DEMAND_UNKNOWN,
    EXECUTORS,
    OLDEST_QUEUED,
    QUEUED,
    RUNNING,
    SCALINGS,
)
from asyncoperator.scaling import removal
from asyncoperator.scaling.decision import History, Signals, Work, decide
from asyncoperator.scaling.deployment import DELETION_COST, START_SECONDS, Deployment
from asyncoperator.scaling.executorpool import (
    KIND,
    PLURAL,
    ExecutorPoolSpec,
    ExecutorPoolStatus,
    decided,
    limited_finding,
    mirror_finding,
    ready,
    scaling_findings,
    without_deployment,
)
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.instants import utc_now

if TYPE_CHECKING:
    from collections.abc import Collection

    from asyncoperator.cluster.kube import Kube
    from asyncoperator.scaling.decision import Decision
    from asyncoperator.scaling.deployment import Pod
    from asyncoperator.scaling.startable import Startable
    from asynctasks.statements.demand import Demand
    from asynctasks.statements.roster import Executor, Roster

BUSY_SECONDS = 60.0
"""An executor that was busy when last seen counts as busy for so long: its lease may still run."""
STATUS_SECONDS = 30.0
"""The status is written at least as often, and at once where a decision changes."""
FIGURES_SECONDS = 5.0
"""How long it may show a queue that is no more like that."""
DRAINED_COST = "-100"
"""Below that of every other pod, which is 0."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read of the pool's queue."""

    now: float
    """Seconds by a clock that only goes forward."""
    demand: Demand | None
    """None where the database does not answer."""
    startable: Startable | None = None
    """What of it limits and pauses let run; None with the demand."""
    missing: int = 0
    """Queued tasks that the broker has had no message of for too long."""


class Pool:
    """What the leader remembers of a pool. `step` may raise a KubeError."""

    def __init__(self, body: dict[str, Any], *, kube: Kube, roster: Roster) -> None:
        self._kube = kube
        self._roster = roster
        self._history = History()
        self._status = ExecutorPoolStatus.model_validate(body.get("status", {}))
        self._shown: object = None
        self._shown_at = float("-inf")
        self.spec = ExecutorPoolSpec.model_validate(body["spec"])
        self._body = body

    def see(self, body: dict[str, Any]) -> None:
        """Take the object as it is now."""
        self._body = body
        self.spec = ExecutorPoolSpec.model_validate(body["spec"])

    @property
    def name(self) -> str:
        """The object's."""
        return self._body["metadata"]["name"]

    async def step(self, reading: Reading, *, mirror_is_degraded: bool) -> None:
        """Do what there is to do now."""
        mirror = mirror_finding(is_degraded=mirror_is_degraded)
        try:
            deployment = await Deployment.read(self._kube, self.spec.target_ref.name)
        except KubeGoneError:
            missing = without_deployment(self.spec.target_ref.name)
            await self._show(reading, {}, (*missing, mirror))
            return
        executors, work = await self._executors(deployment), _work(reading)
        if executors is None:
            work, executors = None, []
        draining = _draining(executors, deployment)
        signals = Signals(
            now=reading.now,
            work=work,
            replicas=max(deployment.replicas - len(draining), 0),
            busy=sum(_is_busy(one) for one in executors if not one.draining),
        )
        decision = decide(signals, self._history, self.spec.config)
        self._history = decision.history
        if self.spec.scaling.mode == "Off":
            decision = replace(decision, desired=deployment.replicas)
            await self._bring_back(draining)
        elif decision.is_known:
            await self._scale(deployment, executors, decision)
        working = sum(pod.is_ready for pod in deployment.pods.values())
        self._measure(reading.demand, signals, decision, ready=working)
        figures = {
            "replicas": deployment.replicas,
            "busy_replicas": signals.busy,
            **(decided(decision) if decision.is_known else {}),
        }
        findings = (
            ready(
                replicas=signals.replicas,
                ready_replicas=working,
                shortfall=deployment.shortfall,
            ),
            *scaling_findings(self.spec, decision, missing=reading.missing),
            limited_finding(reading.startable, reading.demand),
            mirror,
        )
        await self._show(reading, figures, findings)

    async def abandon(self) -> None:
        """The object is gone: nobody else brings back executors that drain, or measures any."""
        for gauge in (DEMAND_UNKNOWN, EXECUTORS, OLDEST_QUEUED, QUEUED, RUNNING):
            gauge.remove_by_labels({"queue": self.spec.queue})
        executors = await self._roster.of_queue(self.spec.queue)
        await self._roster.set_draining(
            [one.name for one in executors if one.draining], draining=False
        )

    async def _executors(self, deployment: Deployment) -> list[Executor] | None:
        """The last of each of the Deployment's pods; None where the database does not answer.

        A container that was started again has a new executor, which need not drain.
        """
        try:
            executors = await self._roster.of_queue(self.spec.queue)
        except DatabaseUnavailableError:
            return None
        latest = {
            one.pod: one
            for one in sorted(executors, key=lambda one: one.age_seconds, reverse=True)
            if one.pod in deployment.pods
        }
        return list(latest.values())

    async def _scale(
        self, deployment: Deployment, executors: list[Executor], decision: Decision
    ) -> None:
        draining = len(_draining(executors, deployment))
        surplus = max(deployment.replicas - draining - decision.desired, 0)
        missing = min(deployment.missing, surplus)
        stuck = _stuck(deployment, executors)[: surplus - missing]
        moves = removal.plan(
            executors,
            replicas=deployment.replicas - deployment.missing - len(stuck),
            desired=decision.desired,
        )
        by_name = {one.name: one for one in executors}
        if not deployment.is_removing:
            await self._bring_back([by_name[name] for name in moves.undrain])
        if decision.desired > deployment.replicas:
            await self._set_scale(deployment, decision.desired, decision.reason)
        elif not deployment.is_removing and not deployment.is_rolling_out:
            await self._roster.set_draining(moves.drain, draining=True)
            drained = [deployment.pods[str(by_name[name].pod)] for name in moves.remove]
            going = await self._mark(deployment, [*stuck, *drained])
            if missing + going:
                replicas = deployment.replicas - missing - going
                await self._set_scale(deployment, replicas, decision.reason)

    async def _mark(self, deployment: Deployment, pods: list[Pod]) -> int:
        """Have Kubernetes choose these very pods to go; how many it will choose for sure."""
        pods = [pod for pod in pods if not pod.is_ready]
        names = {pod.name for pod in pods}
        others = [pod for name, pod in deployment.pods.items() if name not in names]
        # A pod that has not begun to run would be removed before any that has.
        if any(pod.is_starting for pod in others):
            return 0
        for name in sorted(names):
            await self._annotate(name, DRAINED_COST)
        return len(pods)

    async def _bring_back(self, executors: Collection[Executor]) -> None:
        if not executors:
            return
        await self._roster.set_draining([one.name for one in executors], draining=False)
        for one in executors:
            if one.pod is not None:
                await self._annotate(one.pod, None)

    async def _annotate(self, pod: str, cost: str | None) -> None:
        try:
            await self._kube.annotate_pod(pod, {DELETION_COST: cost})
        except KubeGoneError:
            log.info("pod is gone", pod=pod)

    async def _set_scale(self, deployment: Deployment, replicas: int, reason: str) -> None:
        before = deployment.replicas
        try:
            await self._kube.set_scale(
                deployment.name, replicas, resource_version=deployment.resource_version
            )
        except KubeConflictError:
            log.info("scaled later", deployment=deployment.name, reason="it has changed meanwhile")
            return
        text = f"From {before} to {replicas}: {reason}"
        log.info("scaled", deployment=deployment.name, replicas=replicas, reason=text)
        SCALINGS.labels(self.spec.queue, "up" if replicas > before else "down").inc()
        self._status = self._status.model_copy(
            update={"last_scale_time": timestamp(utc_now()), "last_scale_reason": text}
        )
        try:
            await self._kube.post_event(
                {"apiVersion": API_VERSION, "kind": KIND, **self._body},
                reason="ScaledUp" if replicas > before else "ScaledDown",
                message=text,
            )
        except KubeError as error:
            log.warning("event not posted", reason=str(error))

    def _measure(
        self, demand: Demand | None, signals: Signals, decision: Decision, *, ready: int
    ) -> None:
        queue = self.spec.queue
        DEMAND_UNKNOWN.labels(queue).set(not decision.is_known)
        EXECUTORS.labels(queue, "current").set(signals.replicas)
        EXECUTORS.labels(queue, "desired").set(decision.desired)
        EXECUTORS.labels(queue, "busy").set(signals.busy)
        EXECUTORS.labels(queue, "ready").set(ready)
        EXECUTORS.labels(queue, "needed").set(decision.needed)
        if demand is not None:
            OLDEST_QUEUED.labels(queue).set(demand.oldest_queued_seconds)
            QUEUED.labels(queue).set(demand.queued)
            RUNNING.labels(queue).set(demand.running)

    async def _show(
        self, reading: Reading, figures: dict[str, int], findings: tuple[Finding, ...]
    ) -> None:
        """Write the status where a decision or a condition has changed, or it is time to."""
        demand, generation = reading.demand, self._body["metadata"]["generation"]
        since = {
            (one.type, one.status): one.last_transition_time for one in self._status.conditions
        }
        status = self._status.model_copy(
            update={
                **figures,
                **({} if demand is None else {"queued": demand.queued, "running": demand.running}),
                "observed_generation": generation,
                "conditions": conditions(findings, since, generation=generation, now=utc_now()),
            }
        )
        said = [(one.type, one.status, one.reason) for one in status.conditions]
        shown = (status.replicas, status.desired_replicas, status.last_scale_time, generation, said)
        longest = STATUS_SECONDS if _queue(status) == _queue(self._status) else FIGURES_SECONDS
        if shown == self._shown and reading.now - self._shown_at < longest:
            return
        metadata = self._body["metadata"]
        try:
            await self._kube.apply_status(
                PLURAL, metadata["name"], status.to_json(), uid=metadata["uid"]
            )
        except KubeGoneError:
            return
        self._status, self._shown, self._shown_at = status, shown, reading.now


def _work(reading: Reading) -> Work | None:
    demand, startable = reading.demand, reading.startable
    if demand is None or startable is None:
        return None
    return Work(
        queued=startable.tasks,
        held=demand.queued - startable.tasks,
        running=demand.running,
        finished=demand.finished,
        mean_service_seconds=demand.mean_service_seconds,
    )


def _queue(status: ExecutorPoolStatus) -> tuple[int | None, ...]:
    return status.queued, status.running, status.busy_replicas


def _is_busy(executor: Executor) -> bool:
    return executor.running > 0 and executor.age_seconds <= BUSY_SECONDS


def _draining(executors: list[Executor], deployment: Deployment) -> list[Executor]:
    """Those that are not counted any more; those about to be removed are off the count already."""
    draining = [one for one in executors if one.draining and removal.is_fresh(one)]
    return draining[deployment.leaving :]


def _stuck(deployment: Deployment, executors: list[Executor]) -> list[Pod]:
    """Pods that never became executors: they run nothing."""
    known = {one.pod for one in executors if removal.is_fresh(one)}
    return [
        pod
        for pod in deployment.pods.values()
        if pod.name not in known and not pod.is_ready and pod.age_seconds > START_SECONDS
    ]
