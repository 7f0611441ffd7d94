"""`profile`: where our processes spend the CPU time of a request, by component, with py-spy."""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import embedded
from bench import Bench, console
from load import Load, post_clients
from measure import measure
from systems import Running, ours, up

CALLERS = 256
SAMPLES_PER_SECOND = 200
PROCESSES = ("proxy", "executor", "up")
OTHER = "event loop and sockets (uvloop, asyncio)"
OURS = "our own code, with JSON and JSON Schema"
COMPONENTS = {
    "uvicorn": "HTTP server (uvicorn, httptools)",
    "httptools": "HTTP server (uvicorn, httptools)",
    "h11": "HTTP server (uvicorn, httptools)",
    "fastapi": "FastAPI, Starlette",
    "starlette": "FastAPI, Starlette",
    "anyio": "FastAPI, Starlette",
    "aiormq": "AMQP (aiormq, pamqp)",
    "pamqp": "AMQP (aiormq, pamqp)",
    "sqlalchemy": "database (SQLAlchemy, asyncpg, aiosqlite)",
    "asyncpg": "database (SQLAlchemy, asyncpg, aiosqlite)",
    "aiosqlite": "database (SQLAlchemy, asyncpg, aiosqlite)",
    "aiohttp": "HTTP client (aiohttp, yarl)",
    "yarl": "HTTP client (aiohttp, yarl)",
    "multidict": "HTTP client (aiohttp, yarl)",
    "structlog": "logging, metrics",
    "logging": "logging, metrics",
    "prometheus_client": "logging, metrics",
    "opentelemetry": "logging, metrics",
    "asynctasks": OURS,
    "asyncproxy": OURS,
    "asyncexecutor": OURS,
    "asyncapiproxy": OURS,
    "uvloop": OTHER,
    "asyncio": OTHER,
}
"""By package. A frame of no package here is of what called it, and so is what is written in C."""
_PACKAGE = re.compile(r"(?:site-packages|/tasks|/proxy|/executor|/cli|python3\.\d+)/(\w+)(?![\w-])")


class ProfilerMissingError(RuntimeError):
    """There is no py-spy."""


def run(bench: Bench, *, seconds: float) -> dict[str, Any]:
    """By load and process: the CPU of a request, and each component's part of it."""
    if shutil.which("py-spy") is None:
        raise ProfilerMissingError("`profile` needs py-spy: uv tool install py-spy")
    results: dict[str, Any] = {"callers": CALLERS, "loads": []}
    with ours(bench) as running:
        results["loads"].append(_profiled(bench, "proxy and executor", running, seconds))
    for name, prefer, good in embedded.LOADS:
        with (
            bench.queue_prefix() as folder,
            up(bench, bench.folder / folder, embedded.OPERATIONS) as service,
        ):
            running = Running([service.url], {"up": [service.pid]})
            load = f"embedded, {name}"
            results["loads"].append(
                _profiled(bench, load, running, seconds, prefer=prefer, good=good)
            )
    return results


def _profiled(
    bench: Bench,
    name: str,
    running: Running,
    seconds: float,
    *,
    prefer: str = "",
    good: tuple[int, ...] = (200, 201),
) -> dict[str, Any]:
    def load(length: float) -> Load:
        return post_clients(running.urls, callers=CALLERS, seconds=length, prefer=prefer, good=good)

    load(2)
    cpu_us = measure(running, {}, callers=CALLERS, seconds=seconds, prefer=prefer, good=good).cpu_us
    processes = {part: pids[0] for part, pids in running.parts.items() if part in PROCESSES}
    files = {part: bench.folder / f"{name}-{part}.raw" for part in processes}
    with ThreadPoolExecutor() as threads:
        loading = threads.submit(load, seconds + 3)
        list(threads.map(_record, processes.values(), files.values(), [seconds] * len(files)))
        loading.result()
    result = {
        "load": name,
        "cpu_us": cpu_us,
        "share": {part: _counted(file.read_text(), component) for part, file in files.items()},
        "own_functions": {
            part: _counted(file.read_text(), _own_function) for part, file in files.items()
        },
    }
    console.print(f"  {name}: {cpu_us}")
    return result


def _record(pid: int, file: Path, seconds: float) -> None:
    command = ["py-spy", "record", "--format=raw", "--full-filenames", f"--output={file}"]
    command += [f"--rate={SAMPLES_PER_SECOND}", f"--duration={round(seconds)}", f"--pid={pid}"]
    subprocess.run(command, check=True, capture_output=True)


def _counted(raw: str, key: Callable[[list[str]], str]) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for frames, count in _stacks(raw):
        counts[key(frames)] += count
    return {name: count / counts.total() for name, count in counts.most_common(20)}


def _stacks(raw: str) -> list[tuple[list[str], int]]:
    lines = (line.rpartition(" ") for line in raw.splitlines())
    return [(stack.split(";"), int(count)) for stack, _, count in lines]


def component(frames: list[str]) -> str:
    """Of the innermost frame that is of a component's package."""
    for frame in reversed(frames):
        packages = _PACKAGE.findall(frame)
        if packages and packages[-1] in COMPONENTS:
            return COMPONENTS[packages[-1]]
    return OTHER


def _own_function(frames: list[str]) -> str:
    """The innermost function of what is ours; "" for the rest."""
    return frames[-1].partition(" ")[0] if component(frames) == OURS else ""
