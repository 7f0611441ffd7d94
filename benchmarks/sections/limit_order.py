"""Parts of `limits`: who is next while very many wait."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from asynctestkit.chaos.tenants import BLUE
from asynctestkit.eventually import eventually
from benchmarks.machine.fill import add_held
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table
from benchmarks.systems.limited import limited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynctestkit.recording_upstream import RecordingUpstream
    from benchmarks.machine.bench import Bench

ROWS = 100_000
SECONDS = 30
CALL_SECONDS = 0.05
CONCURRENCY = 20
WEIGHT = 3
SHARED = f"{{concurrency: {CONCURRENCY}, fairBy: tenant}}"
WEIGHED = f"{{concurrency: {CONCURRENCY}, fairBy: tenant, weights: {{red: {WEIGHT}}}}}"
MOST_WAIT_SECONDS = 2.0
WEIGHT_TOLERANCE = 0.1
MOST_TO_CALL_SECONDS = 1.0
URGENT_TASKS = 10
SETTLE_SECONDS = 3
STARTED = "SELECT fair_key, count(*) FROM tasks WHERE attempt > 0 GROUP BY fair_key"
ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Flood:
    """How long a tenant who asks now and then waits beside one who has very many queued."""

    rows: int
    waits_seconds: list[float]
    """From post to answer, in the order of the posts."""
    others: dict[str, int]
    """Answers that are no 201, by status."""
    calls_per_second: float

    @property
    def p95_seconds(self) -> float:
        """Of the waits."""
        return statistics.quantiles(self.waits_seconds, n=20, method="inclusive")[18]


def _flood(bench: Bench, asked: Asked) -> Flood:
    rows, seconds = (2_000, 5) if asked.quick else (ROWS, SECONDS)
    with limited(bench, SHARED, call_seconds=CALL_SECONDS) as system:
        add_held(bench, system.database_url, rows=rows, fair_keys=["red"])
        with system.running() as (proxy, _):
            time.sleep(SETTLE_SECONDS)
            calls, began = len(system.upstream.calls), time.monotonic()
            answers = asyncio.run(_post_each_second(f"{proxy.url}/clients", posts=seconds))
            took = time.monotonic() - began
    return Flood(
        rows=rows,
        waits_seconds=[waited for _, waited in answers],
        others=_other_than_201([status for status, _ in answers]),
        calls_per_second=(len(system.upstream.calls) - calls) / took,
    )


def _other_than_201(statuses: list[int]) -> dict[str, int]:
    others = [str(status) for status in statuses if status != 201]
    return {status: others.count(status) for status in others}


async def _post_each_second(url: str, *, posts: int) -> list[tuple[int, float]]:
    """The status of each answer, and how long it took."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with (
        aiohttp.ClientSession(headers=BLUE, timeout=timeout) as session,
        asyncio.TaskGroup() as posting,
    ):
        asked: list[asyncio.Task[tuple[int, float]]] = []
        for _ in range(posts):
            asked.append(posting.create_task(_post(session, url)))
            await asyncio.sleep(1)
    return [each.result() for each in asked]


async def _post(session: aiohttp.ClientSession, url: str) -> tuple[int, float]:
    began = time.monotonic()
    async with session.post(url, json={}) as answer:
        await answer.read()
        return answer.status, time.monotonic() - began


def _flood_tables(flood: Flood) -> Iterator[tuple[str, Table]]:
    p50, most = statistics.median(flood.waits_seconds), max(flood.waits_seconds)
    rows = [
        ["queued of one tenant; calls a second", f"{flood.rows:,}; {flood.calls_per_second:,.0f}"],
        [
            "another's wait: p50 / p95 / most",
            f"{p50:.2f} / {flood.p95_seconds:.2f} / {most:.2f} s",
        ],
    ]
    yield "flood", Table("A flood", ["what", "measured"], rows)


def _flood_promises(flood: Flood | None) -> Iterator[Promise]:
    text = "100,000 queued of one tenant, another asks each second: p95 of its wait < 2 s"
    if flood is None:
        yield Promise(text)
        return
    holds = flood.p95_seconds < MOST_WAIT_SECONDS if flood.rows >= ROWS else None
    yield Promise(text, f"{flood.p95_seconds:.2f} s", holds)


def _flood_faults(flood: Flood) -> Iterator[str]:
    if flood.others:
        yield f"answers {flood.others}"


FLOOD = Section(
    name="flood",
    results=Flood,
    run=_flood,
    tables=_flood_tables,
    promises=_flood_promises,
    faults=_flood_faults,
)


@dataclass(frozen=True, slots=True)
class Weights:
    """How often each of two tenants starts who both have very many queued."""

    seconds: float
    starts: dict[str, int]

    @property
    def ratio(self) -> float:
        """Starts of the one with the weight for each of the other's."""
        return self.starts["red"] / max(1, self.starts["blue"])


def _weights(bench: Bench, asked: Asked) -> Weights:
    rows, seconds = (6_000, 5) if asked.quick else (ROWS, SECONDS)
    with limited(bench, WEIGHED, call_seconds=CALL_SECONDS) as system:
        add_held(bench, system.database_url, rows=rows, fair_keys=["red", "blue"])

        def started() -> dict[str, int]:
            return dict(map(tuple, bench.sql(STARTED, url=system.database_url)))

        with system.running():
            time.sleep(SETTLE_SECONDS)
            before, began = started(), time.monotonic()
            time.sleep(seconds)
            after, took = started(), time.monotonic() - began
    starts = {tenant: after.get(tenant, 0) - before.get(tenant, 0) for tenant in ("red", "blue")}
    return Weights(took, starts)


def _weights_tables(weights: Weights) -> Iterator[tuple[str, Table]]:
    counted = f"{weights.starts['red']:,} and {weights.starts['blue']:,}"
    rows = [[f"starts in {weights.seconds:.0f} s, weights {WEIGHT} and 1", counted]]
    yield "weights", Table("Weights", ["what", "measured"], rows)


def _weights_promises(weights: Weights | None) -> Iterator[Promise]:
    text = f"two tenants, weights {WEIGHT} and 1, both with a backlog: starts so within 10 %"
    if weights is None:
        yield Promise(text)
        return
    holds = abs(weights.ratio / WEIGHT - 1) <= WEIGHT_TOLERANCE
    is_whole = weights.seconds >= SECONDS
    yield Promise(text, f"{weights.ratio:.2f} : 1", holds if is_whole else None)


WEIGHTS = Section(
    name="weights",
    results=Weights,
    run=_weights,
    tables=_weights_tables,
    promises=_weights_promises,
)


@dataclass(frozen=True, slots=True)
class Priority:
    """How soon the upstream is called for urgent tasks while very many others wait."""

    rows: int
    call_seconds: float
    to_call_seconds: list[float]
    """From the post of each urgent task until its call."""


def _priority(bench: Bench, asked: Asked) -> Priority:
    rows = 2_000 if asked.quick else ROWS
    with limited(bench, SHARED, call_seconds=CALL_SECONDS) as system:
        # All of one tenant, so that nothing but the priority brings them forward.
        add_held(bench, system.database_url, rows=rows, fair_keys=["blue"])
        with system.running() as (proxy, _):
            time.sleep(SETTLE_SECONDS)
            urgent = _until_called(f"{proxy.url}/clients", system.upstream, tasks=URGENT_TASKS)
            return Priority(rows, CALL_SECONDS, asyncio.run(urgent))


async def _until_called(url: str, upstream: RecordingUpstream, *, tasks: int) -> list[float]:
    """How long it takes for each of so many urgent tasks, one after the other."""
    headers = {**BLUE, "Prefer": "respond-async", "Task-Priority": "9"}
    async with aiohttp.ClientSession(headers=headers) as session:
        return [await _until_one_is_called(session, url, upstream) for _ in range(tasks)]


async def _until_one_is_called(
    session: aiohttp.ClientSession, url: str, upstream: RecordingUpstream
) -> float:
    posted, calls = time.time(), len(upstream.calls)
    async with session.post(url, json={}) as answer:
        assert answer.status == 202, await answer.text()
        task_id = (await answer.json())["id"]

    def called() -> float:
        begun = [call.began for call in upstream.calls[calls:] if call.key == task_id]
        assert begun, f"task {task_id} has not been called"
        return begun[0]

    return await eventually(called) - posted


def _priority_tables(priority: Priority) -> Iterator[tuple[str, Table]]:
    times = priority.to_call_seconds
    rows = [
        ["queued of priority 5; each call", f"{priority.rows:,}; {priority.call_seconds:g} s"],
        [
            f"{len(times)} tasks of priority 9, from post to call: p50 / most",
            f"{statistics.median(times):.2f} / {max(times):.2f} s",
        ],
    ]
    yield "priority", Table("Priority", ["what", "measured"], rows)


def _priority_promises(priority: Priority | None) -> Iterator[Promise]:
    text = "100,000 queued of priority 5: one of priority 9 is called within 1 s and a call's time"
    if priority is None:
        yield Promise(text)
        return
    worst = max(priority.to_call_seconds)
    holds = worst <= MOST_TO_CALL_SECONDS + priority.call_seconds
    measured = f"{worst:.2f} s, the worst of {len(priority.to_call_seconds)}"
    yield Promise(text, measured, holds if priority.rows >= ROWS else None)


PRIORITY = Section(
    name="priority",
    results=Priority,
    run=_priority,
    tables=_priority_tables,
    promises=_priority_promises,
)
