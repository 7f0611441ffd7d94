"""One measurement: load on a system, and what the system's parts used for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine.cpu import used, wait_until_quiet
from benchmarks.machine.load import Load, post_clients, wait_for_one

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Running:
    """A system that serves."""

    urls: list[str]
    parts: dict[str, list[int]]
    """The roots of its processes by what they are; wrk and the upstream are no part of it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of load, with CPU time."""

    load: Load
    cpu_us: dict[str, float] = field(default_factory=dict[str, float])
    """Microseconds for each request that was sent, by part."""
    outside_us: dict[str, float] = field(default_factory=dict[str, float])
    """The same of what is no part of the system: the upstream."""

    @property
    def cpu_us_total(self) -> float:
        """Of all parts."""
        return sum(self.cpu_us.values())


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the rounds of one measurement, and how far they spread."""

    rounds: int
    per_second: float
    per_second_min: float
    per_second_max: float
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float]
    """For each request that was sent, by part of the system."""
    cpu_us_total: float
    outside_us: dict[str, float]
    errors: dict[str, int]
    """What was no good answer, over all rounds."""

    @classmethod
    def of(cls, rounds: Sequence[Measured]) -> Figures:
        """Those of at least one round."""
        speeds = [each.load.per_second for each in rounds]
        return cls(
            rounds=len(rounds),
            per_second=median(speeds),
            per_second_min=min(speeds),
            per_second_max=max(speeds),
            p50_ms=median(each.load.p50_ms for each in rounds),
            p99_ms=median(each.load.p99_ms for each in rounds),
            cpu_us=_medians([each.cpu_us for each in rounds]),
            cpu_us_total=median(each.cpu_us_total for each in rounds),
            outside_us=_medians([each.outside_us for each in rounds]),
            errors=counted(each.load.others for each in rounds),
        )


@dataclass(frozen=True, slots=True)
class Ratio:
    """What two systems that took turns are to each other, by pairs of runs."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> Ratio:
        """The first of each pair divided by the second."""
        # Not through zero: a system that answered nobody is told as a fault.
        ratios = [first / max(second, 1e-9) for first, second in pairs]
        return cls(median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f} to {self.highest:.2f})"


def measure(
    running: Running,
    outside: dict[str, list[int]],
    *,
    callers: int,
    seconds: float,
    delay_seconds: float = 0,
    is_spread: bool = False,
    prefer: str = "",
    path: str = "/clients",
    good: tuple[int, ...] = (200, 201),
    token: str = "",
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
        path=path,
        good=good,
        token=token,
    )
    for url in running.urls:
        wait_for_one(url, token=token)
    spent = used(before, wait_until_quiet(everything))
    each = {name: ns / 1e3 / max(1, load.sent) for name, ns in spent.items()}
    return Measured(
        load,
        {name: us for name, us in each.items() if name in running.parts},
        {name: us for name, us in each.items() if name in outside},
    )


def counted(errors: Iterable[dict[str, int]]) -> dict[str, int]:
    """All of them together."""
    total: Counter[str] = Counter()
    for each in errors:
        total.update(each)
    return dict(total)


def _medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: median(each[name] for each in rounds) for name in rounds[0]}
