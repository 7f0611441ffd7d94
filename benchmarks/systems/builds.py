"""AsyncApiProxy as two commits have it, each started by what all of its commits have in common."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asynctestkit.ports import free_port
from asynctestkit.process import Process, bare_environment
from asynctestkit.processes import COMMAND, FAST_OPERATIONS, answers
from benchmarks.machine.measure import Running
from benchmarks.machine.programs import has_written
from benchmarks.systems.systems import CHECKOUT, parts

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from benchmarks.machine.bench import Bench

PREFIXES = ("ASYNCAPIPROXY_", "ASYNCAPI_")
"""What settings begin with, and did before; a build ignores the other."""
BUILD_SECONDS = 600


class BuildError(RuntimeError):
    """A build could not be made of the commit; the text ends with what was printed."""


@dataclass(frozen=True, slots=True)
class Build:
    """AsyncApiProxy as one commit has it, installed."""

    commit: str
    command: Path
    """Its `asyncapiproxy`."""


def this_build() -> Build:
    """The checkout as it is, with what is not committed (`+`)."""
    commit = _git("rev-parse", "--short", "HEAD")
    return Build(f"{commit}+" if _git("status", "--porcelain") else commit, COMMAND)


@contextmanager
def build_of(commit: str, folder: Path) -> Generator[Build]:
    """A worktree of the commit with an environment of its own; nothing is left of it."""
    short = _git("rev-parse", "--short", "--verify", f"{commit}^{{commit}}")
    _git("worktree", "add", "--detach", str(folder), short)
    try:
        # ./dev says which uv it has found.
        uv = os.environ.get("UV", "uv")
        _output(uv, "sync", "--project", str(folder), "--locked", "--all-extras", "--no-dev")
        yield Build(short, folder / ".venv" / "bin" / "asyncapiproxy")
    finally:
        _git("worktree", "remove", "--force", str(folder))


@contextmanager
def started(bench: Bench, build: Build) -> Generator[Running]:
    """One proxy and one executor with default settings, on an empty database."""
    with bench.database() as url, bench.queue_prefix() as prefix:
        folder = bench.folder / prefix
        folder.mkdir()
        environment = _environment(bench, folder, database_url=url, broker_prefix=prefix)
        command = str(build.command)
        _output(command, "migrate", environment=bare_environment(folder) | environment)
        port = free_port()
        proxy = Process(
            *(command, "proxy", "--port", str(port)),
            name="proxy",
            folder=folder,
            is_ready=answers("/ping"),
            environment=environment,
            url=f"http://127.0.0.1:{port}",
        )
        executor = Process(
            *(command, "executor", "--queue", "clients"),
            name="executor",
            folder=folder,
            # It logs the name of the connection that it consumes by.
            is_ready=has_written("consume clients"),
            environment=environment,
        )
        with proxy, executor:
            found = {**parts(bench, proxy, executor), "postgresql": bench.postgresql_pids}
            yield Running([proxy.url], found)


def _environment(
    bench: Bench, folder: Path, *, database_url: str, broker_prefix: str
) -> dict[str, str]:
    operations_file = folder / "operations.yaml"
    # Every build knows its words, and not those of the demo's own file.
    operations_file.write_text(FAST_OPERATIONS)
    settings = {
        "DATABASE_URL": database_url,
        "BROKER_URL": bench.rabbitmq.url,
        "BROKER_PREFIX": broker_prefix,
        "OPERATIONS_FILE": str(operations_file),
        "SEALING_KEYS": "8mCJr0bGXcyTGmyN7HqtaV9bvEGq3Ik-MfN4Gqk5hN8=",
    }
    variables = {
        f"{prefix}{name}": value for prefix in PREFIXES for name, value in settings.items()
    }
    return {"CUSTOMER_API_URL": bench.upstream.url, **variables}


def _git(*arguments: str) -> str:
    return _output("git", *arguments)


def _output(*command: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env=environment,
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
    return done.stdout.strip()
