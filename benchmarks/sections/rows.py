"""`rows`: how long reads take while the table grows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.machine.bench import Bench, console
from benchmarks.machine.cpu import undisturbed
from benchmarks.machine.fill import add_finished
from benchmarks.machine.load import get_paths
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table, milliseconds, warning
from benchmarks.systems.systems import installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLERS = 2
SAMPLE = 20_000
NEWEST = 9_000
"""Tasks that `created_after` leaves."""
LISTS = {
    "GET /tasks": "/tasks",
    "GET /tasks?status=failed": "/tasks?status=failed",
    "GET /tasks?status=cancelled": "/tasks?status=cancelled",
    "GET /tasks?label=team=sales": "/tasks?label=team%3Dsales",
    "GET /tasks?label=team=nobody": "/tasks?label=team%3Dnobody",
}
"""One in a hundred has failed, one in twenty has a label, `sales`, and none was cancelled."""


@dataclass(frozen=True, slots=True)
class Read:
    """One kind of read of a table of so many rows."""

    rows: int
    read: str
    p50_ms: float
    p99_ms: float
    per_second: float
    errors: dict[str, int]


@dataclass(frozen=True, slots=True)
class Reads:
    """Each kind of read at each number of rows."""

    callers: int
    seconds: float
    reads: list[Read]
    bytes_per_row: float
    """Of the largest table with its indexes."""


def _run(bench: Bench, asked: Asked) -> Reads:
    largest = asked.rows or (20_000 if asked.quick else 10**7)
    sizes = [*(size for size in (10**4, 10**6, 10**7) if size < largest), largest]
    seconds = asked.seconds or (1 if asked.quick else 8)
    reads: list[Read] = []
    with bench.database() as url, bench.queue_prefix() as prefix:
        installation = installed(bench, url, prefix)
        for before, size in zip([0, *sizes], sizes, strict=False):
            console.print(f"  filling up to {size:,} rows")
            add_finished(bench, url, since=before + 1, until=size)
            paths = _paths(bench, url, installation.folder, size)
            with installation.proxy(f"proxy-{size}") as proxy:
                reads += [
                    _read(bench, proxy.url, file, name=name, rows=size, seconds=seconds)
                    for name, file in paths.items()
                ]
        size_bytes = bench.sql("SELECT pg_total_relation_size('tasks')", url=url)[0][0]
    return Reads(CALLERS, seconds, reads, size_bytes / largest)


def _read(bench: Bench, url: str, paths: Path, *, name: str, rows: int, seconds: float) -> Read:
    get_paths(url, paths, callers=CALLERS, seconds=1)
    load = undisturbed(
        partial(get_paths, url, paths, callers=CALLERS, seconds=seconds), tries=bench.tries
    )
    console.print(
        f"  {rows:>10,} rows  {name:28} {load.p50_ms:8.2f} / {load.p99_ms:8.2f} ms"
        f"  {load.others or ''}"
    )
    return Read(rows, name, load.p50_ms, load.p99_ms, load.per_second, load.others)


def _paths(bench: Bench, url: str, folder: Path, rows: int) -> dict[str, Path]:
    """A file of paths for each read."""
    percent = min(100.0, 100.0 * SAMPLE / rows)
    ids = bench.sql(f"SELECT id FROM tasks TABLESAMPLE BERNOULLI ({percent})", url=url)
    by_name = {"GET /tasks/{id}": [f"/tasks/{row[0]}" for row in ids]}
    by_name |= {name: [path] for name, path in LISTS.items()}
    after = bench.sql(
        f"SELECT created_at FROM tasks ORDER BY id DESC OFFSET {NEWEST} LIMIT 1", url=url
    )[0][0]
    by_name["the same with created_after="] = [
        f"/tasks?label=team%3Dnobody&created_after={after:%Y-%m-%dT%H:%M:%SZ}"
    ]
    files: dict[str, Path] = {}
    for number, (name, paths) in enumerate(by_name.items()):
        files[name] = folder / f"paths-{number}.txt"
        files[name].write_text("\n".join(paths) + "\n")
    return files


def _tables(reads: Reads) -> Iterator[tuple[str, Table]]:
    sizes = sorted({each.rows for each in reads.reads})
    table = Table(
        f"p50 / p99 in ms of reads, {reads.callers} callers",
        ["read", *(f"{size:,} rows" for size in sizes)],
    )
    found = {(each.read, each.rows): each for each in reads.reads}
    for read in dict.fromkeys(each.read for each in reads.reads):
        cells = [_cell(found[read, size], reads.seconds) for size in sizes]
        table.rows.append([f"`{read}`", *cells])
    yield "rows", table


def _cell(one: Read, seconds: float) -> str:
    if not one.per_second and not one.errors:
        return f"none within {seconds:g} s"
    return milliseconds(one.p50_ms, one.p99_ms) + warning(one.errors)


def _promises(reads: Reads | None) -> Iterator[Promise]:
    text = "p99 of GET /tasks ≤ 1.5 × from 10⁴ to 10⁷ rows"
    if not reads:
        yield Promise(text)
        return
    p99 = {each.rows: each.p99_ms for each in reads.reads if each.read == "GET /tasks"}
    smallest, largest = min(p99), max(p99)
    ratio = p99[largest] / p99[smallest]
    measured = f"{ratio:.2f} × from {smallest:,} to {largest:,} rows"
    yield Promise(text, measured, ratio <= 1.5 if largest >= 10**7 else None)


def _faults(reads: Reads) -> Iterator[str]:
    for one in reads.reads:
        if one.errors:
            yield f"{one.read} at {one.rows:,} rows: {one.errors}"


ROWS = Section(
    name="rows", results=Reads, run=_run, tables=_tables, promises=_promises, faults=_faults
)
