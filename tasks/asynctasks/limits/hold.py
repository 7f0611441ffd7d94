"""Why a queued task may not start yet, in words for whoever waits for it. Decides only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from asynctasks.instants import rfc3339
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit_state import BreakerKind

if TYPE_CHECKING:
    from datetime import datetime

    from asynctasks.limits.limit import Bounds, Limit
    from asynctasks.limits.limit_state import LimitState
    from asynctasks.limits.pauses import Pause


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps a queued task from starting."""

    kind: PausedKind
    name: str
    detail: str
    """In a sentence, without its full stop."""


def hold_by_pause(pause: Pause) -> Hold:
    """That it waits for somebody to resume what is paused."""
    since = rfc3339(pause.paused_at, timespec="seconds")
    return Hold(pause.kind, pause.name, f"{pause.kind} {pause.name} is paused since {since}")


def hold_by_limit(
    state: LimitState, *, fair_key: str, running: int, running_of_key: int, now: datetime
) -> Hold | None:
    """Why the limit lets nothing of it start, whatever its rate; None where it would."""
    detail = (
        _by_breaker(state, running, now=now)
        or _by_bounds(state.limit, running)
        or _by_key(state.limit.per_key, running_of_key, fair_key)
    )
    if detail is None:
        return None
    return Hold(PausedKind.LIMIT, state.limit.name, f"limit {state.limit.name}{detail}")


def hold_by_rate(limit: Limit, *, fair_key: str) -> Hold | None:
    """That others start before it at the limit's rate; None where it has no rate."""
    per_key = None if limit.per_key is None else limit.per_key.rate_per_second
    if limit.rate_per_second is not None:
        detail = f": {limit.rate_per_second:g} start a second"
    elif per_key is not None:
        detail = f": {per_key:g} start a second for {fair_key!r}"
    else:
        return None
    return Hold(PausedKind.LIMIT, limit.name, f"limit {limit.name}{detail}")


def _by_breaker(state: LimitState, running: int, *, now: datetime) -> str | None:
    breaker = state.breaker
    most = breaker.most_at_once
    if breaker.kind is BreakerKind.RECOVERING and most is not None and running >= most:
        return f" recovers: {running} of {most} run"
    if breaker.kind is not BreakerKind.OPEN:
        return None
    failed = "failed once" if breaker.failures == 1 else f"failed {breaker.failures} times"
    if most:
        # One of all that wait is the probe, and nobody knows which before it runs.
        return f" waits for a probe of its upstream, which {failed}"
    until = now + timedelta(seconds=breaker.open_for_seconds)
    return f" rests until {rfc3339(until, timespec='seconds')}: its upstream {failed}"


def _by_bounds(bounds: Bounds, running: int) -> str | None:
    if bounds.concurrency is not None and running >= bounds.concurrency:
        return f": {running} of {bounds.concurrency} run"
    return None


def _by_key(bounds: Bounds | None, running: int, fair_key: str) -> str | None:
    detail = None if bounds is None else _by_bounds(bounds, running)
    return None if detail is None else f"{detail} for {fair_key!r}"
