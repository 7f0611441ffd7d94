"""What all measurements share: private servers, the upstream, a folder, fresh databases."""

import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from rich.console import Console

from asynctestkit.ports import free_port
from asynctestkit.process import Process
from asynctestkit.servers import PostgresqlServer, RabbitmqServer
from asynctestkit.sql import execute
from benchmarks.machine.programs import listens, server_pids

UPSTREAM = Path(__file__).parents[1] / "systems" / "upstream.py"
console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


@dataclass(frozen=True, slots=True)
class Bench:
    """The servers of one run of the benchmark."""

    folder: Path
    postgresql: PostgresqlServer
    postgresql_pids: list[int]
    rabbitmq: RabbitmqServer
    rabbitmq_pids: list[int]
    upstream: Process
    tries: int
    """How often a measurement may be made until others on the machine did not disturb it."""

    @property
    def outside(self) -> dict[str, list[int]]:
        """What every system calls and none consists of, as parts."""
        return {"upstream": [self.upstream.pid]}

    @contextmanager
    def database(self) -> Generator[str]:
        """The URL of an empty database, dropped afterwards."""
        name = f"bench_{uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(self.postgresql.url)._replace(path=f"/{name}").geturl()
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")
            # Else what this run left to write would be written during the next.
            self.sql("CHECKPOINT")

    @contextmanager
    def queue_prefix(self) -> Generator[str]:
        """What the names of a system's queues begin with; they are deleted afterwards."""
        prefix = f"bench-{uuid4().hex[:8]}"
        try:
            yield prefix
        finally:
            self.rabbitmq.delete_queues(prefix=prefix)

    def count_commits(self) -> int:
        """How many transactions have written anything so far, in all databases."""
        (row,) = self.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        return int(row[0])

    def sql(self, statement: str, *, url: str = "") -> list[Any]:
        """The rows of one statement, which may take as long as it likes."""
        return execute(url or self.postgresql.url, statement)


@contextmanager
def started_bench(*, tries: int) -> Generator[Bench]:
    """Start it all; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="asyncapiproxy-bench-"))
    postgresql, rabbitmq = PostgresqlServer(), RabbitmqServer()
    port = free_port()
    upstream = Process(
        *(sys.executable, str(UPSTREAM), str(port)),
        name="upstream",
        folder=folder,
        is_ready=listens(port),
        url=f"http://127.0.0.1:{port}",
    )
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(postgresql.close)
        stack.callback(rabbitmq.close)
        postgresql_pids, rabbitmq_pids = server_pids(postgresql), server_pids(rabbitmq)
        stack.enter_context(upstream)
        yield Bench(folder, postgresql, postgresql_pids, rabbitmq, rabbitmq_pids, upstream, tries)
