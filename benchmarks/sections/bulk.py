"""`bulk`: very many failed tasks are retried by one call, and what others wait meanwhile.

The retried tasks are of a queue of their own that is paused, as one is whose upstream was down:
they are queued again and held. What it costs to run them is what `backlog` measures.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from benchmarks.machine.bench import Bench, console
from benchmarks.machine.cpu import undisturbed
from benchmarks.machine.fill import add_failed
from benchmarks.machine.measure import Ratio, counted
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table, milliseconds, warning
from benchmarks.systems.systems import OPERATIONS as WORKED_EXAMPLE
from benchmarks.systems.systems import installed, up

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

ROWS = 100_000
SECONDS = 30
CALLS_PER_SECOND = 50
WARM_UP_SECONDS = 3
LOOK_SECONDS = 0.25
ANSWER_SECONDS = 60
BATCH_SECONDS = 600
HELD_SECONDS = 60
MOST_SECONDS = 60
MOST_TIMES = 2
TRIES = 2
SERVERS, EMBEDDED = "PostgreSQL and RabbitMQ", "`up`, SQLite"
OPERATION, QUEUE = "create-order", "orders"
OPERATIONS = f"""{WORKED_EXAMPLE}
  {OPERATION}:
    route: POST /orders
    queue: {QUEUE}
    waitSeconds: 0
    upstream: {{url: "{{CUSTOMER_API_URL}}/orders"}}
"""

ResultT = TypeVar("ResultT")
Filled = tuple[str, str]
"""Where a system is called, and its database."""


class RefusedError(RuntimeError):
    """A call was refused; the text is the answer."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Of callers who come at a steady pace, however slow the answers: from then to the answer."""

    p50_ms: float
    p99_ms: float
    others: dict[str, int]
    """Answers that are no 201, by status."""


@dataclass(frozen=True, slots=True)
class Round:
    """One batch, on new tables."""

    seconds: float
    """From the call that asks for it until it has succeeded."""
    done: int
    """Tasks, by the batch's own counts."""
    held: int
    """Tasks, by what the queue says afterwards."""
    without: Waits
    """Of others' calls just before."""
    meanwhile: Waits


@dataclass(frozen=True, slots=True)
class Retried:
    """On one system."""

    system: str
    rounds: list[Round]

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(each.seconds for each in self.rounds)

    @property
    def p99(self) -> Ratio:
        """Of others' calls, with the batch to without."""
        return Ratio.of((each.meanwhile.p99_ms, each.without.p99_ms) for each in self.rounds)

    @property
    def errors(self) -> dict[str, int]:
        """Of others' calls, in all rounds."""
        return counted(
            waits.others for each in self.rounds for waits in (each.without, each.meanwhile)
        )


@dataclass(frozen=True, slots=True)
class Bulk:
    """So many failed tasks retried by one call, on each system."""

    rows: int
    calls_per_second: int
    retried: list[Retried]


def _run(bench: Bench, asked: Asked) -> Bulk:
    rows = asked.rows or (3_000 if asked.quick else ROWS)
    seconds = asked.seconds or (2 if asked.quick else SECONDS)
    rounds = asked.rounds or (1 if asked.quick else 3)

    def measured(system: str) -> Round:
        one = partial(_round, bench, system, rows, seconds)
        return undisturbed(one, tries=min(TRIES, bench.tries))

    retried = [Retried(name, [measured(name) for _ in range(rounds)]) for name in SYSTEMS]
    return Bulk(rows, CALLS_PER_SECOND, retried)


def _round(bench: Bench, system: str, rows: int, seconds: float) -> Round:
    with SYSTEMS[system](bench) as (url, database_url):
        add_failed(bench, database_url, operation=OPERATION, queue=QUEUE, rows=rows)
        measured = asyncio.run(_measured(url, rows=rows, seconds=seconds))
    console.print(f"  {system}: {measured}")
    return measured


@contextmanager
def _servers(bench: Bench) -> Generator[Filled]:
    with bench.database() as url, bench.queue_prefix() as prefix:
        installation = installed(bench, url, prefix, operations=OPERATIONS)
        with installation.proxy() as proxy, installation.executor():
            yield proxy.url, url


@contextmanager
def _embedded(bench: Bench) -> Generator[Filled]:
    with bench.queue_prefix() as name, up(bench, bench.folder / name, OPERATIONS) as service:
        yield service.url, f"sqlite:///{bench.folder / name}/data/tasks.db"


SYSTEMS: dict[str, Callable[[Bench], AbstractContextManager[Filled]]] = {
    SERVERS: _servers,
    EMBEDDED: _embedded,
}


async def _measured(url: str, *, rows: int, seconds: float) -> Round:
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, timeout=timeout, connector=connector) as session:
        await _sent(session, "POST", f"/queues/{QUEUE}/pause")
        await _beside(session, asyncio.sleep(WARM_UP_SECONDS))
        _, without = await _beside(session, asyncio.sleep(seconds))
        (took, done), meanwhile = await _beside(session, _retry_all(session))
        return Round(took, done, await _held(session, rows), without, meanwhile)


async def _retry_all(session: aiohttp.ClientSession) -> tuple[float, int]:
    """How long it took, and how many were done."""
    began = time.monotonic()
    order = {"action": "retry", "filter": {"status": "failed"}}
    batch = await _sent(session, "POST", "/tasks:batch", json=order)
    async with asyncio.timeout(BATCH_SECONDS):
        while batch["status"] != "succeeded":
            await asyncio.sleep(LOOK_SECONDS)
            # A busy proxy may refuse a look, and whoever waits looks again.
            with suppress(RefusedError):
                batch = await _sent(session, "GET", batch["links"]["self"])
    return time.monotonic() - began, batch["counts"]["done"]


async def _held(session: aiohttp.ClientSession, rows: int) -> int:
    """How many are, once there are so many, or the time for it is over: it is counted at times."""
    ends = time.monotonic() + HELD_SECONDS
    while True:
        found = await _sent(session, "GET", "/queues")
        (held,) = (each["held"] for each in found["queues"] if each["name"] == QUEUE)
        if held == rows or time.monotonic() > ends:
            return held
        await asyncio.sleep(1)


async def _sent(session: aiohttp.ClientSession, method: str, path: str, **given: Any) -> Any:
    async with session.request(method, path, **given) as answer:
        if not answer.ok:
            raise RefusedError(await answer.text())
        return await answer.json()


async def _beside(
    session: aiohttp.ClientSession, work: Coroutine[Any, Any, ResultT]
) -> tuple[ResultT, Waits]:
    """What came of the work, and what callers waited while it was done."""
    began = time.monotonic()
    calls: list[asyncio.Task[tuple[int, float]]] = []
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work)
        while not working.done():
            due = began + len(calls) / CALLS_PER_SECOND
            await asyncio.sleep(due - time.monotonic())
            calls.append(group.create_task(_call(session, due)))
    return working.result(), _waits([each.result() for each in calls])


async def _call(session: aiohttp.ClientSession, due: float) -> tuple[int, float]:
    """The status, and the seconds since it was due."""
    client = {"email": f"c{due:.6f}@example.com", "name": "Ann"}
    async with session.post("/clients", json=client) as answer:
        await answer.read()
        return answer.status, time.monotonic() - due


def _waits(answers: Sequence[tuple[int, float]]) -> Waits:
    percentiles = statistics.quantiles((waited * 1e3 for _, waited in answers), n=100)
    others = counted({str(status): 1} for status, _ in answers if status != 201)
    return Waits(percentiles[49], percentiles[98], others)


def _tables(bulk: Bulk) -> Iterator[tuple[str, Table]]:
    callers = f"{bulk.calls_per_second} other calls a second"
    table = Table(
        f"{bulk.rows:,} failed tasks retried by one call, {callers}",
        [
            "system",
            "until all are queued",
            "others' p50 / p99 ms without",
            "meanwhile",
            "p99, ratio",
        ],
    )
    for one in bulk.retried:
        seconds = [each.seconds for each in one.rounds]
        table.rows.append(
            [
                one.system,
                f"{one.seconds:,.1f} s ({min(seconds):,.1f} to {max(seconds):,.1f})",
                _shown([each.without for each in one.rounds]),
                _shown([each.meanwhile for each in one.rounds]) + warning(one.errors),
                str(one.p99),
            ]
        )
    yield "bulk", table


def _shown(waits: Sequence[Waits]) -> str:
    return milliseconds(
        statistics.median(each.p50_ms for each in waits),
        statistics.median(each.p99_ms for each in waits),
    )


def _promises(bulk: Bulk | None) -> Iterator[Promise]:
    for name in SYSTEMS:
        soon = f"{ROWS:,} failed tasks retried by one call ({name}) in < {MOST_SECONDS} s"
        beside = f"the same ({name}): p99 of others' calls meanwhile < {MOST_TIMES} × that without"
        found = next((one for one in bulk.retried if one.system == name), None) if bulk else None
        if found is None or bulk is None:
            yield from (Promise(soon), Promise(beside))
            continue
        is_whole = bulk.rows >= ROWS
        holds = found.seconds < MOST_SECONDS
        yield Promise(soon, f"{found.seconds:,.1f} s", holds if is_whole else None)
        holds = found.p99.median < MOST_TIMES
        yield Promise(beside, f"{found.p99} ×", holds if is_whole else None)


def _faults(bulk: Bulk) -> Iterator[str]:
    for one in bulk.retried:
        if one.errors:
            yield f"bulk, {one.system}: {one.errors}"
        for each in one.rounds:
            if (each.done, each.held) != (bulk.rows, bulk.rows):
                yield f"bulk, {one.system}: {each.done} of {bulk.rows} done, {each.held} held"


BULK = Section(
    name="bulk",
    results=Bulk,
    run=_run,
    tables=_tables,
    promises=_promises,
    faults=_faults,
    is_usual=False,
)
