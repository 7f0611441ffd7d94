"""When an upstream is left alone, and how it gets its load back. Decides only: no clock, no I/O.

    closed ──── failures in a row, or it asks for time ────▶ open ◀────────────┐
      ▲                                                       │ its time is over│ fails: for twice
      │ enough successes          ┌──────────── fails ──────▶ ▼                 │ as long
      └────────────────────── recovering ◀── succeeds ── one probe ─────────────┘

What began before the upstream was to be probed says nothing new, however late it ends: a hundred
attempts that time out together open the breaker once, and are no failed probes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from asynctasks.limits.limit_state import BreakerKind, BreakerState

if TYPE_CHECKING:
    from asynctasks.limits.limit import Breaker

_MOST_DOUBLINGS = 60


def after_failure(
    breaker: Breaker,
    state: BreakerState,
    *,
    ran_seconds: float,
    asked_seconds: float | None = None,
) -> BreakerState:
    """How it stands once an attempt has failed by the upstream's fault, after so long.

    `asked_seconds` is the Retry-After of the upstream, which opens it at once, for so long.
    """
    asked = min(asked_seconds or 0.0, breaker.open_seconds[1])
    if state.kind is BreakerKind.CLOSED:
        state = _counted(breaker, state)
        return _opened(breaker, state, asked) if asked or _is_enough(breaker, state) else state
    if not _began_before_the_probes(state, ran_seconds):
        return _opened(breaker, replace(state, failures=state.failures + 1), asked)
    if asked <= state.open_for_seconds or not asked:
        return state
    if state.kind is BreakerKind.OPEN:
        return replace(state, open_for_seconds=asked)
    return _opened(breaker, state, asked)


def after_success(breaker: Breaker, state: BreakerState, *, ran_seconds: float) -> BreakerState:
    """How it stands once an attempt has been answered, after so long."""
    if state.kind is BreakerKind.CLOSED:
        return BreakerState()
    if _began_before_the_probes(state, ran_seconds):
        return state
    successes = state.successes + 1
    if successes >= breaker.failures:
        return BreakerState()
    return BreakerState(
        kind=BreakerKind.RECOVERING,
        open_for_seconds=state.open_for_seconds,
        successes=successes,
    )


def _counted(breaker: Breaker, state: BreakerState) -> BreakerState:
    if state.failures == 0 or state.failing_seconds > breaker.within_seconds:
        return replace(state, failures=1, failing_seconds=0.0)
    return replace(state, failures=state.failures + 1)


def _is_enough(breaker: Breaker, state: BreakerState) -> bool:
    return state.failures >= breaker.failures


def _began_before_the_probes(state: BreakerState, ran_seconds: float) -> bool:
    return ran_seconds > -state.open_for_seconds


def _opened(breaker: Breaker, state: BreakerState, asked_seconds: float) -> BreakerState:
    shortest, longest = breaker.open_seconds
    doubled = min(longest, shortest * 2.0 ** min(state.openings, _MOST_DOUBLINGS))
    return replace(
        state,
        kind=BreakerKind.OPEN,
        open_for_seconds=asked_seconds or doubled,
        openings=state.openings + 1,
        successes=0,
    )
