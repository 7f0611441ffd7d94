"""`embedded`: tasks submitted and run by one process with SQLite, by a handler operation."""

import sqlite3
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import Bench, console
from cpu import cpu_times, used
from load import post_clients
from systems import up

OPERATIONS = """
operations:
  create-client:
    route: POST /clients
    queue: clients
    arguments:
      type: object
      required: [email, name]
      additionalProperties: false
      properties:
        email: {type: string, format: email, maxLength: 254}
        name: {type: string, minLength: 1, maxLength: 32}
    handler: bench_handler:create_client
"""
FINISH_SECONDS = 120
LOADS = (("waiting", "", (200,)), ("respond-async", "respond-async", (202,)))
"""Name, `Prefer`, and the status of a good answer."""


def run(bench: Bench, *, seconds: float, rounds: int, callers: int = 256) -> dict[str, Any]:
    """Tasks a second with callers that wait and with such that do not, and CPU for each."""
    results: dict[str, Any] = {"callers": callers, "seconds": seconds}
    for name, prefer, good in LOADS:
        runs = [
            _one(bench, callers=callers, seconds=seconds, prefer=prefer, good=good)
            for _ in range(rounds)
        ]
        results[name] = {
            "tasks_per_second": median(run["tasks_per_second"] for run in runs),
            "min": min(run["tasks_per_second"] for run in runs),
            "max": max(run["tasks_per_second"] for run in runs),
            "cpu_us": median(run["cpu_us"] for run in runs),
            "p50_ms": median(run["p50_ms"] for run in runs),
            "p99_ms": median(run["p99_ms"] for run in runs),
            "errors": [run["errors"] for run in runs if run["errors"]],
        }
        console.print(f"  embedded, {name}: {results[name]}")
    return results


def _one(
    bench: Bench, *, callers: int, seconds: float, prefer: str, good: tuple[int, ...]
) -> dict[str, Any]:
    """From the first POST until the last task has finished."""
    with bench.queue_prefix() as name:
        folder = bench.folder / name
        with up(bench, folder, OPERATIONS) as service:
            parts = {"up": [service.pid]}
            urls = [service.url]
            post_clients(urls, callers=callers, seconds=1, prefer=prefer, good=good)
            earlier = _finished(folder)
            before, began = cpu_times(parts), time.monotonic()
            load = post_clients(urls, callers=callers, seconds=seconds, prefer=prefer, good=good)
            tasks = _finished(folder) - earlier
            took = time.monotonic() - began
            cpu_ns = used(before, cpu_times(parts))["up"]
    return {
        "tasks_per_second": tasks / took,
        "cpu_us": cpu_ns / 1e3 / max(1, tasks),
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "errors": load.others,
    }


def _finished(folder: Path) -> int:
    """How many tasks have finished, once all that were submitted have."""
    deadline = time.monotonic() + FINISH_SECONDS
    with sqlite3.connect(f"file:{folder}/data/tasks.db?mode=ro", uri=True) as database:
        while time.monotonic() < deadline:
            open_ones, finished = database.execute(
                "SELECT sum(finished_at IS NULL), sum(finished_at IS NOT NULL) FROM tasks"
            ).fetchone()
            if not open_ones:
                return int(finished or 0)
            time.sleep(0.1)
    raise RuntimeError(f"{open_ones} tasks have not finished within {FINISH_SECONDS} s")
