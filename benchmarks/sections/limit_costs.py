"""Parts of `limits`: what a backlog costs RabbitMQ, what a release and an unreached limit cost."""

from __future__ import annotations

import json
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine.cpu import cpu_times, rss_bytes, used
from benchmarks.machine.fill import add_held
from benchmarks.machine.measure import Ratio
from benchmarks.sections.compared import promised
from benchmarks.sections.pairs import Pairs, in_pairs, operations_with
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table
from benchmarks.systems.limited import Limited, limited
from benchmarks.systems.systems import ours

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from benchmarks.machine.bench import Bench

MANY, FEW = 10**6, 10**4
SETTLE_SECONDS = 5
SAMPLED_SECONDS = 30
SAMPLE_SECONDS = 1.0
MOST_GROWTH_BYTES = 50e6
SLOW_CALL_SECONDS = 0.2
ONE_AT_A_TIME = "{concurrency: 1, fairBy: tenant}"
TENANTS = [f"tenant-{number}" for number in range(20)]
ROUNDS, RELEASE_SECONDS = 5, 5.0
MOST_RATIO = 1.15
PARTS = ("proxy", "executor", "postgresql")
WITH_LIMIT, PLAIN = "/clients-under-a-limit", "/clients-without"
_AMPLE = """\
    limits: [ample]
limits:
  ample: {concurrency: 1000, ratePerSecond: 100000, burst: 10000, fairBy: principal, breaker: {}}
"""
MOST_UNREACHED_RATIO = 1.1


@dataclass(frozen=True, slots=True)
class Memory:
    """What RabbitMQ holds of a backlog that waits in the database."""

    rows: int
    idle_bytes: int
    """RabbitMQ's resident memory while nothing was queued."""
    most_bytes: int
    most_messages: int
    calls: int
    """Of the upstream, meanwhile."""

    @property
    def growth_bytes(self) -> int:
        """At most, over idle."""
        return self.most_bytes - self.idle_bytes


def _memory(bench: Bench, asked: Asked) -> Memory:
    rows, seconds = (20_000, 10) if asked.quick else (MANY, SAMPLED_SECONDS)
    with limited(bench, None, call_seconds=SLOW_CALL_SECONDS) as system:
        with system.running():
            time.sleep(SETTLE_SECONDS)
            idle = _rabbitmq_bytes(bench)
        add_held(bench, system.database_url, rows=rows, fair_keys=[""])
        most_bytes = most_messages = 0
        with system.running():
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                most_bytes = max(most_bytes, _rabbitmq_bytes(bench))
                most_messages = max(most_messages, _messages(bench, system))
                time.sleep(SAMPLE_SECONDS)
    return Memory(rows, idle, most_bytes, most_messages, calls=len(system.upstream.calls))


def _rabbitmq_bytes(bench: Bench) -> int:
    return sum(map(rss_bytes, bench.rabbitmq_pids))


def _messages(bench: Bench, system: Limited) -> int:
    """On its queues, those in an executor's hands among them."""
    listed = bench.rabbitmq.ctl("list_queues", "--formatter", "json", "name", "messages")
    return sum(
        queue["messages"] for queue in json.loads(listed) if queue["name"].startswith(system.prefix)
    )


def _memory_tables(memory: Memory) -> Iterator[tuple[str, Table]]:
    rss = f"{memory.idle_bytes / 1e6:,.0f} MB; {memory.most_bytes / 1e6:,.0f} MB"
    rows = [
        [f"RabbitMQ idle; the most with {memory.rows:,} queued", rss],
        ["messages at most; tasks run meanwhile", f"{memory.most_messages:,}; {memory.calls:,}"],
    ]
    yield "memory", Table("Memory", ["what", "measured"], rows)


def _memory_promises(memory: Memory | None) -> Iterator[Promise]:
    text = "10⁶ queued without limits: RabbitMQ within 50 MB of idle"
    if memory is None:
        yield Promise(text)
        return
    measured = f"{memory.growth_bytes / 1e6:+,.0f} MB, {memory.most_messages:,} messages at most"
    holds = memory.growth_bytes <= MOST_GROWTH_BYTES
    yield Promise(text, measured, holds if memory.rows >= MANY else None)


def _memory_faults(memory: Memory) -> Iterator[str]:
    if not memory.calls:
        yield "no task was run"


MEMORY = Section(
    name="memory",
    results=Memory,
    run=_memory,
    tables=_memory_tables,
    promises=_memory_promises,
    faults=_memory_faults,
)


@dataclass(frozen=True, slots=True)
class Release:
    """What a task costs that is released alone, with so many held."""

    rows: int
    per_second: float
    cpu_us: dict[str, float]
    """For each task, by part."""

    @property
    def cpu_us_total(self) -> float:
        """Of all parts."""
        return sum(self.cpu_us.values())


@dataclass(frozen=True, slots=True)
class Releases:
    """The cost with few held and with many."""

    releases: list[Release]
    """Medians of the rounds, the fewest held first."""
    ratio: Ratio
    """Of many to few, in the pairs of each round."""


def _releases(bench: Bench, asked: Asked) -> Releases:
    sizes = (1_000, 3_000) if asked.quick else (FEW, MANY)
    rounds = 2 if asked.quick else asked.rounds or ROUNDS
    seconds = 2.0 if asked.quick else asked.seconds or RELEASE_SECONDS
    few, many = (list[Release](), list[Release]())
    with _filled(bench, sizes[0]) as with_few, _filled(bench, sizes[1]) as with_many:
        for number in range(rounds):
            turns = [(few, with_few, sizes[0]), (many, with_many, sizes[1])]
            for found, system, rows in turns if number % 2 else turns[::-1]:
                found.append(_release(bench, system, rows=rows, seconds=seconds))
    pairs = zip(many, few, strict=True)
    ratio = Ratio.of((one.cpu_us_total, other.cpu_us_total) for one, other in pairs)
    return Releases([_median(few), _median(many)], ratio)


@contextmanager
def _filled(bench: Bench, rows: int) -> Generator[Limited]:
    with limited(bench, ONE_AT_A_TIME, call_seconds=0) as system:
        add_held(bench, system.database_url, rows=rows, fair_keys=TENANTS)
        yield system


def _release(bench: Bench, system: Limited, *, rows: int, seconds: float) -> Release:
    with system.running() as (proxy, executor):
        time.sleep(SETTLE_SECONDS)
        parts = {
            "proxy": [proxy.pid],
            "executor": [executor.pid],
            "postgresql": bench.postgresql_pids,
        }
        calls, before = len(system.upstream.calls), cpu_times(parts)
        time.sleep(seconds)
        tasks, spent = len(system.upstream.calls) - calls, used(before, cpu_times(parts))
    cpu_us = {part: ns / 1e3 / max(1, tasks) for part, ns in spent.items()}
    return Release(rows, tasks / seconds, cpu_us)


def _median(releases: Sequence[Release]) -> Release:
    (rows,) = {release.rows for release in releases}
    return Release(
        rows=rows,
        per_second=statistics.median(release.per_second for release in releases),
        cpu_us={
            part: statistics.median(release.cpu_us[part] for release in releases) for part in PARTS
        },
    )


def _release_tables(releases: Releases) -> Iterator[tuple[str, Table]]:
    rows = [
        [
            f"a task at a time, {release.rows:,} held of {len(TENANTS)} tenants",
            f"{release.cpu_us_total:,.0f} µs ("
            + ", ".join(f"{part} {us:,.0f}" for part, us in release.cpu_us.items())
            + f"), {release.per_second:,.0f}/s",
        ]
        for release in releases.releases
    ]
    yield "release", Table("A release", ["what", "measured"], rows)


def _release_promises(releases: Releases | None) -> Iterator[Promise]:
    text = "CPU of a task that is released alone ≤ 1.15 × with 10⁶ held"
    if releases is None:
        yield Promise(text)
        return
    few, many = (release.rows for release in releases.releases)
    measured = f"{releases.ratio} × from {few:,} to {many:,} held"
    yield Promise(text, measured, releases.ratio.median <= MOST_RATIO if many >= MANY else None)


def _release_faults(releases: Releases) -> Iterator[str]:
    for release in releases.releases:
        if not release.per_second:
            yield f"no task was run with {release.rows:,} held"


RELEASE = Section(
    name="release",
    results=Releases,
    run=_releases,
    tables=_release_tables,
    promises=_release_promises,
    faults=_release_faults,
)


def _unreached(bench: Bench, asked: Asked) -> Pairs:
    operations = operations_with(_AMPLE, more=WITH_LIMIT, less=PLAIN)
    with ours(bench, operations=operations) as running:
        return in_pairs(bench, running, asked, more=WITH_LIMIT, less=PLAIN)


def _unreached_tables(unreached: Pairs) -> Iterator[tuple[str, Table]]:
    rows = [
        [
            f"a request {which}",
            f"{one.cpu_us_total:,.0f} µs ("
            + ", ".join(f"{part} {us:,.0f}" for part, us in one.cpu_us.items())
            + ")",
        ]
        for which, one in (
            ("under a limit that is never reached", unreached.more),
            ("without", unreached.less),
        )
    ]
    yield "unreached", Table("A limit that is never reached", ["what", "measured"], rows)


def _unreached_promises(unreached: Pairs | None) -> Iterator[Promise]:
    yield promised(unreached, "a limit that is never reached", most=MOST_UNREACHED_RATIO)


def _unreached_faults(unreached: Pairs) -> Iterator[str]:
    if unreached.errors:
        yield f"{unreached.errors}"


UNREACHED = Section(
    name="unreached",
    results=Pairs,
    run=_unreached,
    tables=_unreached_tables,
    promises=_unreached_promises,
    faults=_unreached_faults,
)
