"""Why a queued task may not start yet, in words for whoever waits for it. Decides only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit_state import BreakerKind

if TYPE_CHECKING:
    from datetime import datetime

    from asynctasks.limits.limit import Bounds
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
    since = pause.paused_at.isoformat(timespec="seconds")
    return Hold(pause.kind, pause.name, f"{pause.kind} {pause.name} is paused since {since}")


def hold_by_limit(
    state: LimitState, *, fair_key: str, running: int, running_of_key: int, now: datetime
) -> Hold | None:
    """Why the limit lets it not start; None where it would."""
    detail = (
        _by_breaker(state, running, now=now)
        or _by_bounds(state.limit, running, allowed_in_seconds=state.allowed_in_seconds)
        or _by_key(state.limit.per_key, running_of_key, fair_key)
    )
    if detail is None:
        return None
    return Hold(PausedKind.LIMIT, state.limit.name, f"limit {state.limit.name}{detail}")


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
    return f" rests until {until.isoformat(timespec='seconds')}: its upstream {failed}"


def _by_bounds(bounds: Bounds, running: int, *, allowed_in_seconds: float = 0.0) -> str | None:
    if bounds.concurrency is not None and running >= bounds.concurrency:
        return f": {running} of {bounds.concurrency} run"
    rate = bounds.rate_per_second
    if rate is not None and bounds.burst - rate * max(0.0, allowed_in_seconds) < 1:
        return f": {rate:g} start a second"
    return None


def _by_key(bounds: Bounds | None, running: int, fair_key: str) -> str | None:
    detail = None if bounds is None else _by_bounds(bounds, running)
    return None if detail is None else f"{detail} for {fair_key!r}"
