"""`profile`: where our processes spend the CPU time of a request, by component, with py-spy."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine.bench import Bench, console
from benchmarks.machine.load import Load, post_clients
from benchmarks.machine.measure import Running, measure
from benchmarks.sections.embedded import LOADS, handler_operations
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table
from benchmarks.systems.systems import ours, up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class ProfiledLoad:
    """Where the CPU of one load goes, by process."""

    load: str
    cpu_us: dict[str, float]
    """Of a request, as measured without the profiler."""
    share: dict[str, dict[str, float]]
    """By component, of the samples of each process."""
    own_functions: dict[str, dict[str, float]]
    """The same by function of our own; "" for the rest."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the CPU of each load goes."""

    callers: int
    loads: list[ProfiledLoad]

    def processes(self) -> Iterator[tuple[str, float, dict[str, float]]]:
        """Each profiled process: its name, the CPU of a request, its components' shares."""
        for load in self.loads:
            for part, shares in load.share.items():
                yield load.load if part == "up" else part, load.cpu_us[part], shares


class ProfilerMissingError(RuntimeError):
    """There is no py-spy."""


def _run(bench: Bench, asked: Asked) -> Profile:
    if shutil.which("py-spy") is None:
        raise ProfilerMissingError("`profile` needs py-spy: uv tool install py-spy")
    seconds = asked.seconds or 15
    with ours(bench) as running:
        loads = [_profiled(bench, "proxy and executor", running, seconds)]
    for load in LOADS:
        with (
            bench.queue_prefix() as folder,
            up(bench, bench.folder / folder, handler_operations()) as service,
        ):
            running = Running([service.url], {"up": [service.pid]})
            name = f"embedded, {load.name}"
            loads.append(
                _profiled(bench, name, running, seconds, prefer=load.prefer, good=load.good)
            )
    return Profile(CALLERS, loads)


def _profiled(
    bench: Bench,
    name: str,
    running: Running,
    seconds: float,
    *,
    prefer: str = "",
    good: tuple[int, ...] = (200, 201),
) -> ProfiledLoad:
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
    console.print(f"  {name}: {cpu_us}")
    samples = {part: file.read_text() for part, file in files.items()}
    return ProfiledLoad(
        load=name,
        cpu_us=cpu_us,
        share={part: _counted(raw, component) for part, raw in samples.items()},
        own_functions={part: _counted(raw, _own_function) for part, raw in samples.items()},
    )


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


def _tables(profile: Profile) -> Iterator[tuple[str, Table]]:
    processes = list(profile.processes())
    table = Table(
        f"CPU of a request by component in µs, {profile.callers} callers",
        ["component", *(name for name, _, _ in processes)],
    )
    for name in dict.fromkeys(COMPONENTS.values()):
        parts = [cpu_us * shares.get(name, 0) for _, cpu_us, shares in processes]
        table.rows.append([name, *(f"{part:,.0f}" if part else "" for part in parts)])
    table.rows.append(["in all", *(f"{cpu_us:,.0f}" for _, cpu_us, _ in processes)])
    yield "profile", table


PROFILE = Section(name="profile", results=Profile, run=_run, tables=_tables, is_usual=False)
