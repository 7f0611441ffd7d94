"""`embedded`: tasks submitted and run by one process with SQLite, by a handler operation."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.machine.bench import Bench, console
from benchmarks.machine.cpu import cpu_times, used
from benchmarks.machine.load import post_clients
from benchmarks.machine.measure import counted
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table, warning
from benchmarks.systems.systems import OPERATIONS, up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLERS = 256
FINISH_SECONDS = 120


@dataclass(frozen=True, slots=True)
class HandlerLoad:
    """How callers ask, and what a good answer is."""

    name: str
    prefer: str
    good: tuple[int, ...]
    """Statuses."""


LOADS = (
    HandlerLoad("waiting", "", (200,)),
    HandlerLoad("respond-async", "respond-async", (202,)),
)


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """Medians over the rounds of one load, from the first POST until the last task has finished."""

    name: str
    tasks_per_second: float
    tasks_per_second_min: float
    tasks_per_second_max: float
    cpu_us: float
    """For each task."""
    p50_ms: float
    """Of the POST."""
    p99_ms: float
    errors: dict[str, int]


@dataclass(frozen=True, slots=True)
class Embedded:
    """With callers that wait, and with such that do not."""

    callers: int
    seconds: float
    loads: list[LoadFigures]


@dataclass(frozen=True, slots=True)
class _Round:
    tasks_per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    errors: dict[str, int]


def handler_operations() -> str:
    """The operations file as shipped, but with a handler in place of the upstream."""
    document: Any = yaml.safe_load(OPERATIONS)
    operation = document["operations"]["create-client"]
    del operation["upstream"], operation["retry"]["onStatus"]
    operation["handler"] = "bench_handler:create_client"
    return yaml.safe_dump(document, sort_keys=False)


def _run(bench: Bench, asked: Asked) -> Embedded:
    seconds = asked.seconds or (2 if asked.quick else 10)
    rounds = asked.rounds or (1 if asked.quick else 3)
    loads = [
        _figures(load, [_round(bench, load, seconds) for _ in range(rounds)]) for load in LOADS
    ]
    return Embedded(CALLERS, seconds, loads)


def _figures(load: HandlerLoad, rounds: list[_Round]) -> LoadFigures:
    speeds = [each.tasks_per_second for each in rounds]
    figures = LoadFigures(
        name=load.name,
        tasks_per_second=median(speeds),
        tasks_per_second_min=min(speeds),
        tasks_per_second_max=max(speeds),
        cpu_us=median(each.cpu_us for each in rounds),
        p50_ms=median(each.p50_ms for each in rounds),
        p99_ms=median(each.p99_ms for each in rounds),
        errors=counted(each.errors for each in rounds),
    )
    console.print(f"  {figures}")
    return figures


def _round(bench: Bench, load: HandlerLoad, seconds: float) -> _Round:
    with bench.queue_prefix() as name:
        folder = bench.folder / name
        with up(bench, folder, handler_operations()) as service:
            parts, urls = {"up": [service.pid]}, [service.url]
            post_clients(urls, callers=CALLERS, seconds=1, prefer=load.prefer, good=load.good)
            earlier = _finished(folder)
            before, began = cpu_times(parts), time.monotonic()
            sent = post_clients(
                urls, callers=CALLERS, seconds=seconds, prefer=load.prefer, good=load.good
            )
            tasks = _finished(folder) - earlier
            took = time.monotonic() - began
            cpu_ns = used(before, cpu_times(parts))["up"]
    cpu_us = cpu_ns / 1e3 / max(1, tasks)
    return _Round(tasks / took, cpu_us, sent.p50_ms, sent.p99_ms, sent.others)


def _finished(folder: Path) -> int:
    """How many tasks have finished, once all that were submitted have."""
    deadline = time.monotonic() + FINISH_SECONDS
    with sqlite3.connect(f"file:{folder}/data/tasks.db?mode=ro", uri=True) as database:
        while True:
            open_ones, finished = database.execute(
                "SELECT sum(finished_at IS NULL), sum(finished_at IS NOT NULL) FROM tasks"
            ).fetchone()
            if not open_ones:
                return int(finished or 0)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{open_ones} tasks have not finished in {FINISH_SECONDS} s")
            time.sleep(0.1)


def _tables(embedded: Embedded) -> Iterator[tuple[str, Table]]:
    table = Table(
        f"Embedded, a handler operation, {embedded.callers} callers",
        ["callers", "tasks/s (spread)", "CPU of a task", "p50 / p99 of the POST"],
    )
    for one in embedded.loads:
        spread = f"{one.tasks_per_second_min:,.0f} to {one.tasks_per_second_max:,.0f}"
        table.rows.append(
            [
                one.name,
                f"{one.tasks_per_second:,.0f} ({spread}){warning(one.errors)}",
                f"{one.cpu_us:,.0f} µs",
                f"{one.p50_ms:,.0f} / {one.p99_ms:,.0f} ms",
            ]
        )
    yield "embedded", table


def _promises(embedded: Embedded | None) -> Iterator[Promise]:
    text = "embedded: ≥ 2,000 tasks/s submitted and run by one process"
    if not embedded:
        yield Promise(text)
        return
    measured = ", ".join(f"{one.name} {one.tasks_per_second:,.0f}/s" for one in embedded.loads)
    slowest = min(one.tasks_per_second for one in embedded.loads)
    yield Promise(text, measured, slowest >= 2000)


def _faults(embedded: Embedded) -> Iterator[str]:
    for one in embedded.loads:
        if one.errors:
            yield f"embedded, {one.name}: {one.errors}"


EMBEDDED = Section(
    name="embedded", results=Embedded, run=_run, tables=_tables, promises=_promises, faults=_faults
)
