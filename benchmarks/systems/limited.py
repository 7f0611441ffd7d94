"""Operations under a limit, and an upstream that notes when each call began and ended."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from anyio.from_thread import start_blocking_portal

from asynctestkit.chaos.tenants import write_access_file
from asynctestkit.processes import Installation, Service, start_all
from asynctestkit.recording_upstream import RecordingUpstream
from benchmarks.machine.bench import Bench
from benchmarks.systems.systems import installed

OPERATION = "create-client"
LIMIT = "crm"
_OPERATIONS = f"""
operations:
  {OPERATION}:
    route: POST /clients
    queue: clients
    waitSeconds: 30
    limits: LIMITS
    upstream: {{url: "{{UPSTREAM_URL}}", timeoutSeconds: 30}}
limits:
  {LIMIT}: """


@dataclass(frozen=True, slots=True)
class Limited:
    """An installation whose one operation has a limit, or none, and the upstream it calls."""

    installation: Installation
    upstream: RecordingUpstream
    database_url: str
    prefix: str
    """Of the names of its queues."""

    @contextmanager
    def running(self) -> Generator[tuple[Service, Service]]:
        """A proxy that tells two tenants apart, and an executor."""
        access_file = write_access_file(self.installation.folder)
        proxy = self.installation.proxy(access_file=access_file)
        executor = self.installation.executor()
        try:
            start_all(lambda service: service, proxy, executor)
            yield proxy, executor
            # Else what it runs would keep its places until its leases run out.
            executor.stop()
        finally:
            proxy.kill()
            executor.kill()


@contextmanager
def limited(bench: Bench, limit: str | None, *, call_seconds: float = 0.05) -> Generator[Limited]:
    """The limit as the operations file has it; None for an operation without one."""
    upstream = RecordingUpstream(call_seconds)
    with bench.database() as url, bench.queue_prefix() as prefix, serving(upstream) as upstream_url:
        installation = installed(
            bench,
            url,
            prefix,
            operations=operations_under(limit),
            environment={"UPSTREAM_URL": upstream_url},
        )
        yield Limited(installation, upstream, url, prefix)


@contextmanager
def serving(upstream: RecordingUpstream) -> Generator[str]:
    """Where it answers, from a thread of its own."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(upstream.serving()) as url,
    ):
        yield url


def operations_under(limit: str | None) -> str:
    """The text of the operations file; `limit` as there."""
    limits = "[]" if limit is None else f"[{LIMIT}]"
    return _OPERATIONS.replace("LIMITS", limits) + (limit or "{}") + "\n"
