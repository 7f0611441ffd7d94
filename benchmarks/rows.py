"""`rows`: how long reads take while the table grows."""

from functools import partial
from pathlib import Path
from typing import Any

from bench import Bench, console
from cpu import undisturbed
from fill import add_finished
from load import get_paths
from systems import installed

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


def run(bench: Bench, *, sizes: list[int], seconds: float) -> dict[str, Any]:
    """p50 and p99 of each read at each number of rows."""
    results: list[dict[str, Any]] = []
    with bench.database() as url, bench.queue_prefix() as prefix:
        installation = installed(bench, url, prefix)
        since = 1
        for size in sizes:
            console.print(f"  filling up to {size:,} rows")
            add_finished(bench, url, since=since, until=size)
            since = size + 1
            with installation.proxy(f"proxy-{size}") as proxy:
                for name, paths in _reads(bench, url, installation.folder, size).items():
                    get_paths(proxy.url, paths, callers=CALLERS, seconds=1)
                    load = undisturbed(
                        partial(get_paths, proxy.url, paths, callers=CALLERS, seconds=seconds),
                        tries=bench.tries,
                    )
                    results.append(
                        {
                            "rows": size,
                            "read": name,
                            "p50_ms": load.p50_ms,
                            "p99_ms": load.p99_ms,
                            "per_second": load.per_second,
                            "errors": load.others,
                        }
                    )
                    console.print(
                        f"  {size:>10,} rows  {name:28} {load.p50_ms:8.2f} / {load.p99_ms:8.2f} ms"
                        f"  {load.others or ''}"
                    )
        size_bytes = bench.sql("SELECT pg_total_relation_size('tasks')", url=url)[0][0]
    return {
        "callers": CALLERS,
        "seconds": seconds,
        "reads": results,
        "bytes_per_row": size_bytes / sizes[-1],
    }


def _reads(bench: Bench, url: str, folder: Path, size: int) -> dict[str, Path]:
    """A file of paths for each read."""
    percent = min(100.0, 100.0 * SAMPLE / size)
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
