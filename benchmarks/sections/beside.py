"""Two installations on the same servers at once: what one costs more than the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine.bench import console
from benchmarks.machine.cpu import used, wait_until_quiet
from benchmarks.machine.load import Load, post_clients
from benchmarks.machine.measure import Figures, Measured, Ratio
from benchmarks.sections.compared import Compared

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


class Beside(Compared):
    """An installation with something and one without it.

    The CPU of the servers is taken to be the same.
    """

    KIND = "installation"
    SHOWN = (*OWN, *SHARED)

    @property
    def how(self) -> str:
        """See `Compared`."""
        runs = f"{self.less.rounds} runs of both at once"
        return f"{CALLERS} callers of each, upstream of {DELAY_SECONDS} s, {runs}"


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
