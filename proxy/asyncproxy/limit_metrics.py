"""Shows how much runs of each limit, which have an upstream that is down, and what is paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncproxy.metrics import LIMIT_OPEN, LIMIT_RUNNING, PAUSED
from asynctasks.limits.limit_state import BreakerKind

if TYPE_CHECKING:
    from asynctasks.limits.limit_state import Standing


def show(standing: Standing) -> None:
    """Set the gauges; what is no longer there goes."""
    LIMIT_RUNNING.clear()
    LIMIT_OPEN.clear()
    for name, state in standing.states.items():
        LIMIT_RUNNING.labels(name).set(sum(standing.running.get(name, {}).values()))
        if state.declared.breaker is not None:
            LIMIT_OPEN.labels(name).set(state.breaker.kind is BreakerKind.OPEN)
    PAUSED.clear()
    for kind, name in standing.pauses.by_name:
        PAUSED.labels(kind.value, name).set(1)
