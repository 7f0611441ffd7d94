"""Two installations on the same servers at once: what one costs more than the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine.bench import console
from benchmarks.machine.cpu import used, wait_until_quiet
from benchmarks.machine.load import Load, post_clients
from benchmarks.machine.measure import Figures, Measured, Ratio
from benchmarks.sections.table import Table, warning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.machine.measure import Running
    from benchmarks.sections.section import Asked

CALLERS, DELAY_SECONDS = 64, 0.5
"""Of each of the two: so many calls a second of both, whatever they cost."""
OWN, SHARED = ("proxy", "executor"), ("rabbitmq", "postgresql")
WARM_UP_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Way:
    """One of the two."""

    running: Running
    token: str = ""


@dataclass(frozen=True, slots=True)
class Beside:
    """An installation with something and one without it."""

    more: Figures
    less: Figures
    cpu: Ratio
    """Of the CPU of a request, with to without; that of the servers is taken to be the same."""

    def table(self, title: str, *, more: str, less: str) -> Table:
        """A line for each of the two."""
        runs = f"{self.less.rounds} runs of both at once"
        table = Table(
            f"{title}, {CALLERS} callers of each, upstream of {DELAY_SECONDS} s, {runs}",
            ["installation", "CPU of a request, µs", *OWN, *SHARED, "as ratio of the pairs"],
        )
        for name, one, ratio in ((more, self.more, str(self.cpu)), (less, self.less, "1")):
            parts = [f"{one.cpu_us[part]:,.0f}" for part in (*OWN, *SHARED)]
            total = f"{one.cpu_us_total:,.0f}{warning(one.errors)}"
            table.rows.append([name, total, *parts, ratio])
        return table

    def within(self, most: float) -> bool | None:
        """Whether the ratio is at most so large; one pair says nothing."""
        return self.cpu.median <= most if self.less.rounds > 1 else None

    @property
    def errors(self) -> dict[str, int]:
        """What was no good answer, of both."""
        return {**self.less.errors, **self.more.errors}


def beside(asked: Asked, *, more: Way, less: Way) -> Beside:
    """Have both called at the same time: what disturbs one disturbs the other as much."""
    seconds = asked.seconds or (1 if asked.quick else 5)
    ways = (more, less)
    _at_once(ways, seconds=WARM_UP_SECONDS)
    rounds = asked.rounds or (1 if asked.quick else 9)
    pairs = [_measured(ways, seconds) for _ in range(rounds)]
    return Beside(
        more=Figures.of([pair[0] for pair in pairs]),
        less=Figures.of([pair[1] for pair in pairs]),
        cpu=Ratio.of((one.cpu_us_total, other.cpu_us_total) for one, other in pairs),
    )


def _measured(ways: tuple[Way, Way], seconds: float) -> tuple[Measured, Measured]:
    """From quiet to quiet."""
    parts = {part: ways[0].running.parts[part] for part in SHARED}
    for number, way in enumerate(ways):
        parts |= {f"{part} {number}": way.running.parts[part] for part in OWN}
    before = wait_until_quiet(parts)
    loads = _at_once(ways, seconds=seconds)
    spent_us = {part: ns / 1e3 for part, ns in used(before, wait_until_quiet(parts)).items()}
    sent = sum(load.sent for load in loads)
    of_servers = {part: spent_us[part] / sent for part in SHARED}
    more, less = (
        Measured(
            load, {part: spent_us[f"{part} {number}"] / load.sent for part in OWN} | of_servers
        )
        for number, load in enumerate(loads)
    )
    told = ", ".join(f"{each.cpu_us_total:,.0f} µs" for each in (more, less))
    console.print(f"  with and without: {told}")
    return more, less


def _at_once(ways: Iterable[Way], *, seconds: float) -> list[Load]:
    def load(way: Way) -> Load:
        return post_clients(
            way.running.urls,
            callers=CALLERS,
            seconds=seconds,
            delay_seconds=DELAY_SECONDS,
            token=way.token,
        )

    with ThreadPoolExecutor() as threads:
        return list(threads.map(load, ways))
