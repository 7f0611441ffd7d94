"""What the figures were measured on, and how busy that was with other things."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.machine.bench import Bench

LIBRARIES = ("fastapi", "uvicorn", "uvloop", "sqlalchemy", "asyncpg", "aiormq", "aiohttp")
RIVALS = ("aio-pika", "httpx", "sqlmodel", "taskiq", "faststream", "celery")


@dataclass(frozen=True, slots=True)
class Machine:
    """Cores, memory, versions, and the load average before the run began."""

    at: str
    commit: str
    cores: int
    cpu: str
    memory_gib: int
    kernel: str
    python: str
    load_average_before: tuple[float, ...]
    """Of one, five and fifteen minutes."""
    postgresql: str
    rabbitmq: str
    redis: str
    """Empty where there is none."""
    libraries: dict[str, str]
    command: str


def describe(bench: Bench) -> Machine:
    """This machine, as it is now."""
    return Machine(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=_output("git", "rev-parse", "--short", "HEAD"),
        cores=os.cpu_count() or 1,
        cpu=_cpu_name(),
        memory_gib=round(psutil.virtual_memory().total / 2**30),
        kernel=platform.release(),
        python=platform.python_version(),
        load_average_before=tuple(round(load, 2) for load in os.getloadavg()),
        postgresql=bench.sql("SHOW server_version")[0][0],
        rabbitmq=bench.rabbitmq.ctl("version").strip(),
        redis=_output("redis-server", "--version"),
        libraries={name: version(name) for name in (*LIBRARIES, *RIVALS)},
        command=" ".join(["./dev bench", *sys.argv[1:]]),
    )


def load_average() -> float:
    """Of the last minute: ours, too."""
    return round(os.getloadavg()[0], 2)


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return done.stdout.strip()


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
