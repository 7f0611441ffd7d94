"""How many executors a queue needs. Decides only: no clock, no database, no Kubernetes.

Up at once, by the time in which the backlog would be gone; down only to what the last minute
needed at most; never below the executors that are busy. Little's law gives the rest. `./dev
simulate` runs this very code against KEDA's algorithm; docs/scaling.md shows the formula.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

ARRIVAL_SECONDS = 30.0
"""Over what time arrivals are averaged at least (the constant of the moving average).

Over the length of a task where that is longer: else each arrival of a long task would for a while
look like a stream of them, and ask for executors that nothing is there for.
"""
SERVICE_WEIGHT = 0.1
"""What one more finished task weighs in the average service time."""
STEADY_SLOTS = 0.2
"""Below so much constant work, arrivals are single tasks, and no slots are kept ready for them."""
_EPSILON = 1e-9  # 0.1 + 0.2 must not ask for one more executor


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingConfig:
    """How one ExecutorPool is to be scaled."""

    concurrency: int
    """Tasks that one executor runs at a time."""
    min_replicas: int = 1
    max_replicas: int = 10
    target_drain_seconds: float = 10
    target_utilization: float = 0.8
    """Which part of the slots steady arrivals may fill."""
    scale_down_window_seconds: float = 60
    scale_to_zero_after_seconds: float = 0
    """0 keeps at least one executor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The demand of a queue, and what became of it since it was last read."""

    queued: int
    """Those of the queued that an executor could run now."""
    running: int
    finished: int
    """Since the last reading."""
    mean_service_seconds: float | None
    """Of those that finished; None for none."""
    held: int = 0
    """Those of the queued that limits and pauses keep back: they need no executor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What is known of a queue and its executors when a decision is made."""

    now: float
    """Seconds by any clock that only goes forward."""
    work: Work | None
    """None where the demand could not be read."""
    replicas: int
    """Executors that are asked for, those that drain left out."""
    busy: int
    """Executors that run something, those that drain left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What scaling remembers of a queue from one decision to the next; at first nothing."""

    read_at: float | None = None
    unfinished: int = 0
    arrivals_per_second: float = 0.0
    service_seconds: float | None = None
    needs: tuple[tuple[float, int], ...] = ()
    """When how many executors were needed, within the scale-down window."""
    idle_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many executors there should be, and why."""

    desired: int
    needed: int
    """What the demand alone asks for, whatever the limits are."""
    drain_seconds: float
    """In what time the present executors would have run what is queued."""
    reason: str
    """A short sentence."""
    is_known: bool
    """False where the demand is unknown, and so nothing changes."""
    history: History


def decide(signals: Signals, history: History, config: ScalingConfig) -> Decision:
    """The number of executors for the demand; unknown demand changes nothing."""
    work = signals.work
    if work is None:
        return Decision(
            desired=signals.replicas,
            needed=signals.replicas,
            drain_seconds=0.0,
            reason="The demand is unknown.",
            is_known=False,
            history=history,
        )
    history = _observed(history, signals, work)
    needed = max(math.ceil(slots(work, history, config) / config.concurrency - _EPSILON), 0)
    needed = max(needed, signals.busy)
    raw = min(max(needed, config.min_replicas, 1), config.max_replicas)
    if _may_be_none(signals, history, config):
        needed = raw = 0
    # A leader that is new knows no past: what there is may have been needed.
    needs = history.needs or ((signals.now, min(signals.replicas, config.max_replicas)),)
    since = signals.now - config.scale_down_window_seconds
    needs = (*(need for need in needs if need[0] > since), (signals.now, raw))
    desired = raw
    if 0 < raw < signals.replicas:
        desired = min(signals.replicas, config.max_replicas, max(need for _, need in needs))
    service = config.target_drain_seconds
    if history.service_seconds is not None:
        service = history.service_seconds
    return Decision(
        desired=desired,
        needed=needed,
        drain_seconds=work.queued * service / (max(signals.replicas, 1) * config.concurrency),
        reason=_reason(desired, needed, signals, work, config),
        is_known=True,
        history=replace(history, needs=needs),
    )


def slots(work: Work, history: History, config: ScalingConfig) -> float:
    """How many tasks have to run at a time.

    Enough for what runs and for the backlog to be gone in the target time, beside what arrives;
    never more than there is work and is to be expected.
    """
    drain_seconds = config.target_drain_seconds
    service = history.service_seconds
    if service is None:
        service = drain_seconds  # nothing has finished: assume that each takes the whole time
    steady = history.arrivals_per_second * service
    offered = steady / config.target_utilization
    at_most = work.queued + work.running + (offered if steady > STEADY_SLOTS else 0.0)
    for_backlog = work.running + work.queued * min(1.0, service / drain_seconds)
    for_arrivals = offered + work.queued * service / drain_seconds
    return min(at_most, max(for_backlog, for_arrivals))


def _observed(history: History, signals: Signals, work: Work) -> History:
    unfinished = work.queued + work.running
    arrivals, service = history.arrivals_per_second, history.service_seconds
    if history.read_at is not None and signals.now > history.read_at:
        seconds = signals.now - history.read_at
        arrived = max(0, unfinished - history.unfinished + work.finished)
        constant = max(ARRIVAL_SECONDS, service or 0.0)
        arrivals += (1 - math.exp(-seconds / constant)) * (arrived / seconds - arrivals)
    if work.finished and work.mean_service_seconds is not None:
        mean = max(0.0, work.mean_service_seconds)
        weight = 1 - (1 - SERVICE_WEIGHT) ** work.finished
        service = mean if service is None else service + weight * (mean - service)
    is_idle = unfinished == 0 and signals.busy == 0 and work.finished == 0
    idle_since = signals.now if history.idle_since is None else history.idle_since
    return replace(
        history,
        read_at=signals.now,
        unfinished=unfinished,
        arrivals_per_second=arrivals,
        service_seconds=service,
        idle_since=idle_since if is_idle else None,
    )


def _may_be_none(signals: Signals, history: History, config: ScalingConfig) -> bool:
    """Whether no executor is wanted when there is nothing to do, and there was nothing for long."""
    after = config.scale_to_zero_after_seconds
    if not after or history.idle_since is None:
        return False
    return signals.replicas == 0 or signals.now - history.idle_since >= after


def _reason(desired: int, needed: int, signals: Signals, work: Work, config: ScalingConfig) -> str:
    executors = "1 executor" if desired == 1 else f"{desired} executors"
    tasks = f"{work.queued} queued, {work.running} running"
    if work.held:
        tasks = f"{tasks}, {work.held} held"
    if desired == 0:
        return f"Nothing to do for {config.scale_to_zero_after_seconds:.0f} s."
    if needed > config.max_replicas:
        return f"{tasks}: {needed} executors needed, {desired} allowed."
    if needed < desired <= max(config.min_replicas, 1):
        return f"{tasks}: at least {executors}."
    if desired < signals.replicas:
        return f"{executors} needed at most within {config.scale_down_window_seconds:.0f} s."
    return f"{tasks}: {executors} {'needed' if desired > signals.replicas else 'kept'}."
