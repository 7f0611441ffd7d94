"""`compare --against COMMIT`: another build of AsyncApiProxy and this one, in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine.load import post_clients
from benchmarks.machine.measure import Figures, Measured, Ratio, measure
from benchmarks.sections.compare import WARM_UP_SECONDS, say
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table, warning
from benchmarks.systems.builds import Build, build_of, started, this_build

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.machine.bench import Bench

CALLERS = (1, 32, 256)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both builds with so many callers; each ratio is that of this build to the other."""

    callers: int
    other: Figures
    this: Figures
    cpu: Ratio
    """Of the CPU of a request."""
    per_second: Ratio
    p50: Ratio


@dataclass(frozen=True, slots=True)
class Against:
    """This build beside another."""

    other: str
    this: str
    pairs: list[Pair]


def _run(bench: Bench, asked: Asked) -> Against:
    callers = asked.callers or CALLERS
    seconds = asked.seconds or (2 if asked.quick else 8)
    this = this_build()
    rounds: list[tuple[list[Measured], list[Measured]]] = []
    with build_of(asked.against, bench.folder / "other-build") as other:
        for _ in range(asked.rounds or (1 if asked.quick else 3)):
            others, ours = (_one(bench, build, callers, seconds) for build in (other, this))
            rounds.append((others, ours))
    pairs = [
        _pair(number, [(others[at], ours[at]) for others, ours in rounds])
        for at, number in enumerate(callers)
    ]
    return Against(other.commit, this.commit, pairs)


def _one(bench: Bench, build: Build, callers: Sequence[int], seconds: float) -> list[Measured]:
    """With each number of callers; the build starts anew, on an empty database."""
    with started(bench, build) as running:
        post_clients(running.urls, callers=max(callers), seconds=WARM_UP_SECONDS)
        found: list[Measured] = []
        for number in callers:
            # Once, whatever else the machine does: that hits both of a pair.
            found.append(measure(running, bench.outside, callers=number, seconds=seconds))
            say(build.commit, 0, number, found[-1])
    return found


def _pair(callers: int, rounds: Sequence[tuple[Measured, Measured]]) -> Pair:
    return Pair(
        callers=callers,
        other=Figures.of([other for other, _ in rounds]),
        this=Figures.of([this for _, this in rounds]),
        cpu=Ratio.of((this.cpu_us_total, other.cpu_us_total) for other, this in rounds),
        per_second=Ratio.of(
            (this.load.per_second, other.load.per_second) for other, this in rounds
        ),
        p50=Ratio.of((this.load.p50_ms, other.load.p50_ms) for other, this in rounds),
    )


def _tables(against: Against) -> Iterator[tuple[str, Table]]:
    table = Table(
        f"{against.this} ÷ {against.other} (lowest to highest pair of runs)",
        ["callers", "CPU of a request", "µs", "requests/s", "", "p50", "ms"],
    )
    for pair in against.pairs:
        this, other = pair.this, pair.other
        table.rows.append(
            [
                f"{pair.callers:,}{warning(this.errors)}{warning(other.errors)}",
                *(str(pair.cpu), f"{this.cpu_us_total:,.0f} ÷ {other.cpu_us_total:,.0f}"),
                *(str(pair.per_second), f"{this.per_second:,.0f} ÷ {other.per_second:,.0f}"),
                *(str(pair.p50), f"{this.p50_ms:,.1f} ÷ {other.p50_ms:,.1f}"),
            ]
        )
    yield "against", table
    parts = Table("CPU of a request by part, µs", ["callers", *against.pairs[0].this.cpu_us])
    for pair in against.pairs:
        this, other = pair.this.cpu_us, pair.other.cpu_us
        parts.rows.append(
            [f"{pair.callers:,}", *(f"{this[name]:,.0f} ÷ {other[name]:,.0f}" for name in this)]
        )
    yield "parts", parts


def _faults(against: Against) -> Iterator[str]:
    for pair in against.pairs:
        for build, figures in ((against.other, pair.other), (against.this, pair.this)):
            if figures.errors:
                yield f"{build} at {pair.callers} callers: {figures.errors}"


AGAINST = Section(
    name="against", results=Against, run=_run, tables=_tables, faults=_faults, is_usual=False
)
