"""`workers`: more proxies and executors; the CPU that a request costs must not grow.

Under a load that grows with them, and under one that does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine.cpu import undisturbed
from benchmarks.machine.load import post_clients
from benchmarks.machine.measure import Figures, Measured, Running, measure
from benchmarks.sections.compare import WARM_UP_SECONDS, say
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table, latency, speed
from benchmarks.systems.systems import ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.machine.bench import Bench

Pair = tuple[int, int]
"""How many proxies and how many executors."""
FULL: list[Pair] = [(1, 1), (1, 2), (2, 1), (2, 2), (4, 4)]
QUICK: list[Pair] = [(1, 1), (2, 2)]
PARTS = ("proxy", "executor", "rabbitmq", "postgresql")


@dataclass(frozen=True, slots=True)
class Shape:
    """So many proxies and executors under one load."""

    proxies: int
    executors: int
    figures: Figures
    commits: float
    """Transactions for each request that was sent."""


@dataclass(frozen=True, slots=True)
class UnderLoad:
    """What was measured of each shape under one load."""

    callers: int
    shapes: list[Shape]
    """The smallest first."""


@dataclass(frozen=True, slots=True)
class Workers:
    """What more proxies and executors cost."""

    own: UnderLoad
    """Each pair has callers of its own."""
    same: UnderLoad
    """All together have those that one pair has."""


@dataclass(frozen=True, slots=True)
class _Load:
    """Who calls, and how slow the upstream is."""

    callers: int
    is_for_each_proxy: bool
    delay_seconds: float
    """Of the upstream on average: from half to one and a half of it, so that callers spread."""

    def callers_of(self, proxies: int) -> int:
        """All callers together."""
        return self.callers * (proxies if self.is_for_each_proxy else 1)

    def shapes(self, shapes: list[Pair]) -> list[Pair]:
        """Those that it is put on: a load of its own each pair needs pairs."""
        return [one for one in shapes if one[0] == one[1] or not self.is_for_each_proxy]


_OWN = _Load(callers=100, is_for_each_proxy=True, delay_seconds=0.5)
_SAME = _Load(callers=128, is_for_each_proxy=False, delay_seconds=0)


def _run(bench: Bench, asked: Asked) -> Workers:
    return Workers(own=_under(bench, _OWN, asked), same=_under(bench, _SAME, asked))


def _under(bench: Bench, load: _Load, asked: Asked) -> UnderLoad:
    seconds = asked.seconds or (2 if asked.quick else 8)
    measured: dict[Pair, list[tuple[Measured, float]]] = {
        shape: [] for shape in load.shapes(QUICK if asked.quick else FULL)
    }
    for number in range(asked.rounds or (1 if asked.quick else 3)):
        for shape in list(measured)[:: 1 if number % 2 == 0 else -1]:
            measured[shape].append(_one(bench, load, shape, seconds))
    return UnderLoad(
        load.callers,
        [
            Shape(
                proxies,
                executors,
                Figures.of([one for one, _ in rounds]),
                median(commits for _, commits in rounds),
            )
            for (proxies, executors), rounds in measured.items()
        ],
    )


def _one(bench: Bench, load: _Load, shape: Pair, seconds: float) -> tuple[Measured, float]:
    proxies, executors = shape
    callers = load.callers_of(proxies)
    with ours(bench, proxies=proxies, executors=executors) as running:
        post_clients(running.urls, callers=callers, seconds=WARM_UP_SECONDS)
        one, commits = undisturbed(
            partial(_measure, bench, running, load, callers, seconds), tries=bench.tries
        )
    say(f"{proxies} + {executors}", load.delay_seconds, callers, one)
    return one, commits


def _measure(
    bench: Bench, running: Running, load: _Load, callers: int, seconds: float
) -> tuple[Measured, float]:
    """What was measured, and how many transactions a request took."""
    before = bench.count_commits()
    one = measure(
        running,
        bench.outside,
        callers=callers,
        seconds=seconds,
        delay_seconds=load.delay_seconds,
        is_spread=True,
    )
    return one, (bench.count_commits() - before) / max(1, one.load.sent)


def _tables(workers: Workers) -> Iterator[tuple[str, Table]]:
    own = f"{workers.own.callers} callers for each pair, upstream 250 to 750 ms"
    yield "workers-own", _table(own, workers.own)
    yield (
        "workers-same",
        _table(f"{workers.same.callers} callers in all, upstream 0 ms", workers.same),
    )


def _table(title: str, load: UnderLoad) -> Table:
    figures = ["requests/s", "p50 / p99 ms", *(f"{part} µs" for part in PARTS)]
    table = Table(
        f"Proxies + executors, {title}",
        ["proxies + executors", *figures, "in all", "transactions a request"],
    )
    for shape in load.shapes:
        one = shape.figures
        table.rows.append(
            [
                f"{shape.proxies} + {shape.executors}",
                speed(one),
                latency(one),
                *(f"{one.cpu_us[part]:,.0f}" for part in PARTS),
                f"{one.cpu_us_total:,.0f}",
                f"{shape.commits:.2f}",
            ]
        )
    return table


def _promises(workers: Workers | None) -> Iterator[Promise]:
    yield _promise("each pair with a load of its own", workers and workers.own)
    yield _promise("the same load", workers and workers.same)


def _promise(load: str, measured: UnderLoad | None) -> Promise:
    text = f"more proxies and executors, {load}: CPU of a request ≤ 1.15 × that of 1 + 1"
    if not measured:
        return Promise(text)
    one, *more = measured.shapes
    worst = max(more, key=lambda shape: shape.figures.cpu_us_total)
    ratio = worst.figures.cpu_us_total / one.figures.cpu_us_total
    return Promise(text, f"{ratio:.2f} × with {worst.proxies} + {worst.executors}", ratio <= 1.15)


def _faults(workers: Workers) -> Iterator[str]:
    for shape in (*workers.own.shapes, *workers.same.shapes):
        if shape.figures.errors:
            yield f"{shape.proxies} proxies, {shape.executors} executors: {shape.figures.errors}"


WORKERS = Section(
    name="workers", results=Workers, run=_run, tables=_tables, promises=_promises, faults=_faults
)
