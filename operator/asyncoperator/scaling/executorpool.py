"""An ExecutorPool: what the object says, and how the state of a queue is shown in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from asyncoperator.cluster.custom_object import Condition, Finding, Part, conditions
from asyncoperator.scaling.decision import ScalingConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from asyncoperator.scaling.decision import Decision
    from asyncoperator.scaling.shortfall import Shortfall
    from asyncoperator.scaling.startable import Startable
    from asynctasks.statements.demand import Demand

PLURAL = "executorpools"
KIND = "ExecutorPool"


class TargetRef(Part):
    """The Deployment of the executors, in the pool's namespace."""

    name: str


class Scaling(Part):
    """How many executors an ExecutorPool may have, and how they follow the demand."""

    mode: Literal["Operator", "Off"] = "Operator"
    min_replicas: int = 1
    max_replicas: int = 10
    target_drain_seconds: int = 10
    target_utilization_percent: int = 80
    scale_down_window_seconds: int = 60
    scale_to_zero_after_seconds: int = 0


class ExecutorPoolSpec(Part):
    """What a person asks of an ExecutorPool."""

    installation: str | None = None
    """Only needed where several installations share the namespace."""
    target_ref: TargetRef
    queue: str
    concurrency_per_pod: int = 100
    paused: bool | None = None
    """Whether its queue is paused; None leaves that to others."""
    scaling: Scaling = Field(default_factory=Scaling)

    @property
    def config(self) -> ScalingConfig:
        """As decisions take it."""
        scaling = self.scaling
        return ScalingConfig(
            concurrency=self.concurrency_per_pod,
            min_replicas=scaling.min_replicas,
            max_replicas=scaling.max_replicas,
            target_drain_seconds=scaling.target_drain_seconds,
            target_utilization=scaling.target_utilization_percent / 100,
            scale_down_window_seconds=scaling.scale_down_window_seconds,
            scale_to_zero_after_seconds=scaling.scale_to_zero_after_seconds,
        )


class ExecutorPoolStatus(Part):
    """What the operator shows of an ExecutorPool."""

    queued: int | None = None
    running: int | None = None
    replicas: int | None = None
    desired_replicas: int | None = None
    busy_replicas: int | None = None
    drain_seconds: int | None = None
    arrivals_per_minute: int | None = None
    service_milliseconds: int | None = None
    last_scale_time: str | None = None
    last_scale_reason: str | None = None
    observed_generation: int | None = None
    conditions: list[Condition] = Field(default_factory=list[Condition])


def ready(*, replicas: int, ready_replicas: int, shortfall: Shortfall | None) -> Finding:
    """Whether as many executors as are asked for consume, those that drain left out.

    `shortfall` says what is in the way of one, and is told where some are missing.
    """
    message = f"{ready_replicas} of {replicas} executors are ready."
    if ready_replicas >= replicas:
        return Finding(type="Ready", holds=True, reason="ExecutorsReady", message=message)
    if shortfall is None:
        return Finding(type="Ready", holds=False, reason="ExecutorsNotReady", message=message)
    return Finding(
        type="Ready",
        holds=False,
        reason=shortfall.reason,
        message=f"{message} {shortfall.message}".strip(),
    )


def without_deployment(name: str) -> tuple[Finding, ...]:
    """What is said of a pool whose Deployment is not there."""
    message = f"There is no Deployment {name}."
    return (
        Finding(type="Ready", holds=False, reason="DeploymentMissing", message=message),
        Finding(type="ScalingActive", holds=False, reason="DeploymentMissing", message=message),
    )


def refused_status(
    body: Mapping[str, Any], *, message: str, now: datetime
) -> dict[str, Any] | None:
    """The status of a pool that may be another installation's; None where it has that already."""
    shown = ExecutorPoolStatus.model_validate(body.get("status") or {})
    if any(one.message == message for one in shown.conditions):
        return None
    finding = Finding(
        type="ScalingActive", holds=False, reason="InstallationAmbiguous", message=message
    )
    generation = body["metadata"]["generation"]
    return ExecutorPoolStatus(
        conditions=conditions([finding], {}, generation=generation, now=now)
    ).to_json()


def scaling_findings(
    spec: ExecutorPoolSpec, decision: Decision, *, missing: int
) -> tuple[Finding, ...]:
    """Whether the pool is scaled, and whether its limits are in the way.

    `missing` is how many queued tasks the broker does not know of, for longer than is natural.
    """
    if spec.scaling.mode == "Off":
        active = (False, "Off", "spec.scaling.mode is Off.")
    elif not decision.is_known:
        active = (False, "DemandUnknown", "The task database does not answer: the scale is kept.")
    elif missing:
        text = f"{missing} queued tasks have no message at the broker; the relay publishes anew."
        active = (True, "MessagesMissing", text)
    else:
        active = (True, "DemandKnown", decision.reason)
    most, least = spec.scaling.max_replicas, max(spec.scaling.min_replicas, 1)
    if decision.needed > most:
        limited = (True, "TooManyReplicas", f"{decision.needed} are needed, {most} allowed.")
    elif decision.needed < decision.desired == least:
        limited = (
            True,
            "TooFewReplicas",
            f"{decision.needed} are needed, {least} wanted at least.",
        )
    else:
        limited = (False, "DesiredWithinRange", decision.reason)
    return (
        Finding(type="ScalingActive", holds=active[0], reason=active[1], message=active[2]),
        Finding(type="ScalingLimited", holds=limited[0], reason=limited[1], message=limited[2]),
    )


def limited_finding(startable: Startable | None, demand: Demand | None) -> Finding:
    """Whether tasks are held by a limit or a pause, for which there are no executors then."""
    if startable is None or demand is None:
        return Finding(
            type="Limited",
            holds=None,
            reason="DemandUnknown",
            message="The task database does not answer.",
        )
    if startable.reason is None:
        return Finding(type="Limited", holds=False, reason="NotLimited", message="")
    held = demand.queued - startable.tasks
    return Finding(
        type="Limited",
        holds=True,
        reason=startable.reason,
        message=f"{startable.detail}; {held} of {demand.queued} queued tasks are held.",
    )


def mirror_finding(*, is_degraded: bool) -> Finding:
    """Whether all tasks that should be are shown as AsyncTask objects."""
    return Finding(
        type="MirrorDegraded",
        holds=is_degraded,
        reason="TooMuchToShow" if is_degraded else "AllShown",
        message="Only the most important tasks are shown." if is_degraded else "",
    )


def decided(decision: Decision) -> dict[str, int]:
    """The figures of a decision, in whole numbers as Kubernetes has them."""
    service = decision.history.service_seconds
    return {
        "desired_replicas": decision.desired,
        "drain_seconds": math.ceil(decision.drain_seconds),
        "arrivals_per_minute": round(decision.history.arrivals_per_second * 60),
        "service_milliseconds": 0 if service is None else round(service * 1000),
    }
