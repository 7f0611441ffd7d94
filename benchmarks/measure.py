"""One measurement: load on a system, and what the system's parts used for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from cpu import used, wait_until_quiet
from load import Load, post_clients, wait_for_one
from systems import Running


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of load, with CPU time."""

    load: Load
    cpu_us: dict[str, float] = field(default_factory=dict[str, float])
    """Microseconds for each request that was sent, by part."""
    outside_us: dict[str, float] = field(default_factory=dict[str, float])
    """The same of what is no part of the system: the upstream."""


def measure(
    running: Running,
    outside: dict[str, list[int]],
    *,
    callers: int,
    seconds: float,
    delay_seconds: float = 0,
    is_spread: bool = False,
    prefer: str = "",
    good: tuple[int, ...] = (200, 201),
) -> Measured:
    """From quiet to quiet: what callers no longer wait for is work of theirs all the same."""
    everything = {**running.parts, **outside}
    before = wait_until_quiet(everything)
    load = post_clients(
        running.urls,
        callers=callers,
        seconds=seconds,
        delay_seconds=delay_seconds,
        is_spread=is_spread,
        prefer=prefer,
        good=good,
    )
    for url in running.urls:
        wait_for_one(url)
    spent = used(before, wait_until_quiet(everything))
    each = {name: ns / 1e3 / max(1, load.sent) for name, ns in spent.items()}
    return Measured(
        load,
        {name: us for name, us in each.items() if name in running.parts},
        {name: us for name, us in each.items() if name in outside},
    )


def summary(rounds: Sequence[Measured]) -> dict[str, Any]:
    """Medians over the rounds, and how far they spread."""
    speeds = [each.load.per_second for each in rounds]
    others: dict[str, int] = {}
    for each in rounds:
        for name, count in each.load.others.items():
            others[name] = others.get(name, 0) + count
    return {
        "rounds": len(rounds),
        "per_second": median(speeds),
        "per_second_min": min(speeds),
        "per_second_max": max(speeds),
        "p50_ms": median(each.load.p50_ms for each in rounds),
        "p99_ms": median(each.load.p99_ms for each in rounds),
        "cpu_us": _medians([each.cpu_us for each in rounds]),
        "cpu_us_total": median(sum(each.cpu_us.values()) for each in rounds),
        "outside_us": _medians([each.outside_us for each in rounds]),
        "errors": others,
    }


def _medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: median(each[name] for each in rounds) for name in rounds[0]}
