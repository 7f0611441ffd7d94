"""`jobs`: tasks whose upstream works on a job for hours, and one executor that asks for all."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import aiohttp
import asyncpg

from asynctestkit.job_upstream import job_upstream
from benchmarks.machine.bench import Bench, console
from benchmarks.machine.cpu import cpu_times, rss_bytes, used
from benchmarks.machine.measure import Running, measure
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table
from benchmarks.systems.systems import OPERATIONS as WORKED_EXAMPLE
from benchmarks.systems.systems import installed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from asynctestkit.job_upstream import JobUpstream
    from asynctestkit.processes import Installation, Service

MOST_JOBS = 10_000
EVERY_SECONDS = 30
CYCLES, QUICK_CYCLES = 3, 8
"""How often each job is asked for while we measure. Where pauses are short what comes on top of
them is much, and jobs that began together are asked together: three pauses may see two polls."""
ENOUGH = 0.7
"""Of the polls that are due: a pause is up to a tenth longer than the file says, and a relay looks
for what is due once a second."""
NEVER = 1_000_000_000
WAVE = 100
START_SECONDS = 600
CALLERS = 32
REQUEST_SECONDS = 5
STORED = "SELECT count(*) FROM tasks WHERE upstream_job IS NOT NULL"
MOST_BYTES = 200e6
MOST_SHARE = 0.1

OPERATIONS = f"""{WORKED_EXAMPLE}
  analyze:
    route: POST /documents
    queue: clients
    waitSeconds: 0
    upstream:
      url: "{{OCR_URL}}/documents:analyze"
      poll:
        url: {{header: [Operation-Location]}}
        until: {{pointer: /status, succeeded: [succeeded], failed: [failed]}}
        everySeconds: [EVERY, EVERY]
        progress: {{pointer: /percentComplete}}
"""


@dataclass(frozen=True, slots=True)
class Jobs:
    """What waiting jobs cost while they are asked for again and again."""

    jobs: int
    every_seconds: float
    starting_seconds: float
    """Until the address of each was stored."""
    rss_empty_bytes: int
    rss_most_bytes: int
    """The executor's, while it polls."""
    seconds: float
    """How long was measured."""
    polls: int
    """In that time."""
    cpu_share: dict[str, float]
    """Of one core, by part, in that time."""
    request_us: float
    """What a request of the worked example costs the executor, just before."""

    @property
    def poll_us(self) -> float:
        """What a poll costs the executor."""
        return self.cpu_share["executor"] * self.seconds / max(1, self.polls) * 1e6

    @property
    def due_polls(self) -> float:
        """How many there would be if each came on time."""
        return self.jobs * self.seconds / self.every_seconds


def _run(bench: Bench, asked: Asked) -> Jobs:
    jobs, every_seconds, cycles = (
        (500, 5.0, QUICK_CYCLES) if asked.quick else (MOST_JOBS, float(EVERY_SECONDS), CYCLES)
    )
    with bench.database() as url, bench.queue_prefix() as prefix:
        measured = asyncio.run(
            _measured(bench, url, prefix, jobs=jobs, every_seconds=every_seconds, cycles=cycles)
        )
    console.print(f"  {measured}")
    return measured


async def _measured(
    bench: Bench,
    database_url: str,
    prefix: str,
    *,
    jobs: int,
    every_seconds: float,
    cycles: int,
) -> Jobs:
    async with job_upstream() as upstream:
        upstream.polls = NEVER
        operations = OPERATIONS.replace("EVERY", f"{every_seconds:g}")
        installation = installed(
            bench,
            database_url,
            prefix,
            operations=operations,
            environment={"OCR_URL": upstream.url},
        )
        async with _running(installation) as (proxy, executor):
            parts = {
                "proxy": [proxy.pid],
                "executor": [executor.pid],
                "rabbitmq": bench.rabbitmq_pids,
                "postgresql": bench.postgresql_pids,
            }
            request_us = await asyncio.to_thread(_request_us, bench, Running([proxy.url], parts))
            empty = rss_bytes(executor.pid)
            began = time.monotonic()
            await _start(proxy.url, database_url, jobs)
            starting = time.monotonic() - began
            # By then the first have come round.
            await asyncio.sleep(every_seconds * 1.2)
            observed = await _observed(upstream, parts, seconds=cycles * every_seconds)
        return Jobs(
            jobs=jobs,
            every_seconds=every_seconds,
            starting_seconds=starting,
            rss_empty_bytes=empty,
            request_us=request_us,
            **asdict(observed),
        )


@asynccontextmanager
async def _running(installation: Installation) -> AsyncGenerator[tuple[Service, Service]]:
    """A proxy and an executor, while the upstream goes on in our own loop."""
    services = (installation.proxy(), installation.executor())
    try:
        for service in services:
            service.launch()
        for service in services:
            await asyncio.to_thread(service.wait_until_ready)
        yield services
    finally:
        for service in services:
            service.kill()


async def _start(proxy_url: str, database_url: str, jobs: int) -> None:
    """Return once the address of each job is in its task's row; raises TimeoutError."""
    database = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
            for start in range(0, jobs, WAVE):
                wave = range(start, min(start + WAVE, jobs))
                await asyncio.gather(*(_submit(session, proxy_url) for _ in wave))
            stored = 0
            while stored < jobs:
                await asyncio.sleep(0.2)
                stored = await database.fetchval(STORED)
    finally:
        await database.close()


async def _submit(session: aiohttp.ClientSession, proxy_url: str) -> None:
    async with session.post(f"{proxy_url}/documents", json={}) as answer:
        assert answer.status == 202, await answer.text()


def _request_us(bench: Bench, running: Running) -> float:
    one = measure(running, bench.outside, callers=CALLERS, seconds=REQUEST_SECONDS)
    return one.cpu_us["executor"]


@dataclass(frozen=True, slots=True)
class _Observed:
    """See Jobs."""

    seconds: float
    polls: int
    cpu_share: dict[str, float]
    rss_most_bytes: int


async def _observed(
    upstream: JobUpstream, parts: dict[str, list[int]], *, seconds: float
) -> _Observed:
    (executor,) = parts["executor"]
    polls, before, began = upstream.polled.total(), cpu_times(parts), time.monotonic()
    most = 0
    while (took := time.monotonic() - began) < seconds:
        most = max(most, rss_bytes(executor))
        await asyncio.sleep(min(1.0, seconds / 30))
    spent = used(before, cpu_times(parts))
    return _Observed(
        seconds=took,
        polls=upstream.polled.total() - polls,
        cpu_share={name: ns / 1e9 / took for name, ns in spent.items()},
        rss_most_bytes=most,
    )


def _tables(jobs: Jobs) -> Iterator[tuple[str, Table]]:
    shares = ", ".join(f"{name} {share:.1%}" for name, share in jobs.cpu_share.items())
    polls = f"{jobs.polls / jobs.seconds:,.0f} a second ({jobs.polls / jobs.due_polls:.0%} of due)"
    rows = [
        ["jobs, and how often each is asked for", f"{jobs.jobs:,}, {jobs.every_seconds:g} s"],
        ["time until the address of each was stored", f"{jobs.starting_seconds:,.0f} s"],
        ["polls", polls],
        ["memory of the executor before", f"{jobs.rss_empty_bytes / 1e6:,.0f} MB"],
        ["the most while it polls", f"{jobs.rss_most_bytes / 1e6:,.0f} MB"],
        ["CPU, of one core", shares],
        ["the executor's, for a poll", f"{jobs.poll_us:,.0f} µs"],
        [f"for a request, {CALLERS} callers, in the same run", f"{jobs.request_us:,.0f} µs"],
    ]
    yield "jobs", Table("Jobs of an upstream that wait", ["what", "measured"], rows)


def _promises(jobs: Jobs | None) -> Iterator[Promise]:
    memory = "10,000 waiting jobs, a poll of each every 30 s: executor within 200 MB"
    cpu = "10,000 waiting jobs, a poll of each every 30 s: executor ≤ 10 % of a core"
    if not jobs:
        yield from (Promise(memory), Promise(cpu))
        return
    is_whole, share = jobs.jobs == MOST_JOBS, jobs.cpu_share["executor"]
    most = jobs.rss_most_bytes
    yield Promise(memory, f"{most / 1e6:,.0f} MB", most <= MOST_BYTES if is_whole else None)
    yield Promise(cpu, f"{share:.1%}", share <= MOST_SHARE if is_whole else None)


def _faults(jobs: Jobs) -> Iterator[str]:
    if jobs.polls < ENOUGH * jobs.due_polls:
        yield f"jobs: {jobs.polls:,} polls where {jobs.due_polls:,.0f} were due"


JOBS = Section(
    name="jobs", results=Jobs, run=_run, tables=_tables, promises=_promises, faults=_faults
)
