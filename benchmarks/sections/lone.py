"""`lone`: whether a caller alone waits longer because writes are grouped."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine.bench import Bench, console
from benchmarks.machine.load import Load, post_clients
from benchmarks.machine.measure import Ratio, Running, counted
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table
from benchmarks.systems.systems import ours, unbatched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ALTERNATIONS = 4
"""How often the two take turns while both run, one of them idle."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Of a caller alone, over all runs."""

    p50_ms: float
    p50_ms_min: float
    p50_ms_max: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Lone:
    """With GroupCommit and without."""

    grouped: Latency
    unbatched: Latency
    pairs: int
    ratio: Ratio
    """Of the p50 with it to that without."""
    errors: dict[str, int]


def _run(bench: Bench, asked: Asked) -> Lone:
    seconds = asked.seconds or (1 if asked.quick else 4)
    grouped: list[Load] = []
    single: list[Load] = []
    for number in range(asked.rounds or (1 if asked.quick else 3)):
        # Each round starts both anew.
        with ours(bench) as with_it, unbatched(bench) as without:
            turns = [("grouped", with_it, grouped), ("unbatched", without, single)]
            for _, running, _ in turns:
                post_clients(running.urls, callers=1, seconds=2)
            for turn in range(ALTERNATIONS):
                for name, running, loads in turns if (number + turn) % 2 == 0 else turns[::-1]:
                    loads.append(_one(name, running, seconds))
    pairs = zip(grouped, single, strict=True)
    return Lone(
        grouped=_latency(grouped),
        unbatched=_latency(single),
        pairs=len(grouped),
        ratio=Ratio.of((with_it.p50_ms, without.p50_ms) for with_it, without in pairs),
        errors=counted(load.others for load in (*grouped, *single)),
    )


def _one(name: str, running: Running, seconds: float) -> Load:
    load = post_clients(running.urls, callers=1, seconds=seconds)
    console.print(f"  {name:10} {load.p50_ms:6.2f} / {load.p99_ms:6.2f} ms")
    return load


def _latency(loads: Sequence[Load]) -> Latency:
    p50s = [load.p50_ms for load in loads]
    return Latency(median(p50s), min(p50s), max(p50s), median(load.p99_ms for load in loads))


def _tables(lone: Lone) -> Iterator[tuple[str, Table]]:
    table = Table(
        f"One caller, {lone.pairs} pairs of runs",
        ["writes", "p50 ms (lowest to highest run)", "p99 ms", "p50, as ratio of the pairs"],
    )
    rows = (("grouped", lone.grouped, str(lone.ratio)), ("unbatched", lone.unbatched, "1"))
    for name, one, ratio in rows:
        spread = f"{one.p50_ms_min:,.2f} to {one.p50_ms_max:,.2f}"
        table.rows.append([name, f"{one.p50_ms:,.2f} ({spread})", f"{one.p99_ms:,.2f}", ratio])
    yield "lone", table


def _promises(lone: Lone | None) -> Iterator[Promise]:
    text = "p50 at 1 caller ≤ 1.15 × that without grouped commits"
    if not lone:
        yield Promise(text)
        return
    ratio = lone.ratio.median
    each = f"{lone.grouped.p50_ms:.1f} ms against {lone.unbatched.p50_ms:.1f} ms"
    yield Promise(text, f"{ratio:.2f} × ({each})", ratio <= 1.15)


def _faults(lone: Lone) -> Iterator[str]:
    if lone.errors:
        yield f"lone: {lone.errors}"


LONE = Section(
    name="lone", results=Lone, run=_run, tables=_tables, promises=_promises, faults=_faults
)
