"""Parts of `limits`: what is kept while processes are killed, and while the upstream is down."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asynctestkit.chaos.system import SETTINGS
from asynctestkit.processes import Installation, Service, start_all
from asynctestkit.recorded_runs import Bounds, excess, read_runs, record_runs
from asynctestkit.recording_upstream import RecordingUpstream, Span, most_at_once
from asynctestkit.servers import PostgresqlServer, RabbitmqServer
from benchmarks.machine.fill import add_held
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table
from benchmarks.systems.limited import OPERATION, Limited, limited, operations_under, serving

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from benchmarks.machine.bench import Bench

BOUNDS = Bounds(concurrency=40, rate=10, burst=20)
BOUNDED = f"""
    concurrency: {BOUNDS.concurrency}
    ratePerSecond: {BOUNDS.rate}
    burst: {BOUNDS.burst}
    fairBy: tenant"""
PROXIES, EXECUTORS = 2, 10
CALL_SECONDS, CALL_SPREAD_SECONDS = 2.0, 1.0
ORDEAL_SECONDS, STRETCH_SECONDS = 180, 30
SETTLE_SECONDS = 10
"""Until what was killed has started and its leases have run out."""
FAULT_SECONDS = 4
LEAST_LEFT = 200
RESTART_SECONDS = 60
"""What restarts add to the time at most."""
LEAST_USED = 0.9
LEFT = "SELECT count(*) FROM tasks WHERE status = 'queued' AND NOT published"


@dataclass(frozen=True, slots=True)
class Ordeal:
    """What ran under a limit while executors, proxies and servers were killed and restarted."""

    seconds: float
    kills: int
    """Of executors and proxies."""
    starts: int
    most_at_once: int
    excess: list[str]
    """What was more than the limit allows."""
    stretch_seconds: float
    """Without faults, at the end."""
    stretch_starts: int
    held: int
    """Tasks that were left at the end."""

    @property
    def share_used(self) -> float:
        """Of the rate, in the stretch without faults."""
        return self.stretch_starts / (BOUNDS.rate * self.stretch_seconds)


def _ordeal(bench: Bench, asked: Asked) -> Ordeal:
    seconds, stretch, settle = (
        (20, 5, 3)
        if asked.quick
        else (
            ORDEAL_SECONDS,
            STRETCH_SECONDS,
            SETTLE_SECONDS,
        )
    )
    with PostgresqlServer() as postgresql, RabbitmqServer() as rabbitmq:
        url, began = postgresql.url, time.time()
        with _many(
            bench, url, rabbitmq.url, rows=BOUNDS.rate * (seconds + RESTART_SECONDS)
        ) as all_:
            kills = _break(
                all_, [rabbitmq, postgresql], steps=(seconds - stretch - settle) // FAULT_SECONDS
            )
            for service in all_:
                service.wait_until_ready()
            time.sleep(settle)
            quiet, _ = time.time(), time.sleep(stretch)
            ended = time.time()
            ((held,),) = bench.sql(LEFT, url=url)
        runs = asyncio.run(read_runs(url))
    return Ordeal(
        seconds=ended - began,
        kills=kills,
        starts=len(runs),
        most_at_once=most_at_once(runs),
        excess=list(excess("attempts", runs, BOUNDS)),
        stretch_seconds=ended - quiet,
        stretch_starts=sum(quiet <= run.began < ended for run in runs),
        held=held,
    )


@contextmanager
def _many(
    bench: Bench, database_url: str, broker_url: str, *, rows: float
) -> Generator[list[Service]]:
    """Many executors and a few proxies, with so many tasks held, and more."""
    upstream = RecordingUpstream(CALL_SECONDS, spread_seconds=CALL_SPREAD_SECONDS)
    with serving(upstream) as upstream_url:
        installation = Installation(
            bench.folder / "ordeal",
            database_url=database_url,
            broker_url=broker_url,
            operations=operations_under(BOUNDED),
            settings=SETTINGS,
            environment={"UPSTREAM_URL": upstream_url},
        )
        installation.migrate()
        held = int(rows) + BOUNDS.burst + LEAST_LEFT
        add_held(bench, database_url, rows=held, fair_keys=["red", "blue"])
        asyncio.run(record_runs(database_url, operation=OPERATION))
        services = [
            *(installation.proxy(f"proxy-{number}") for number in range(PROXIES)),
            *(installation.executor(f"executor-{number}") for number in range(EXECUTORS)),
        ]
        try:
            start_all(lambda service: service, *services)
            yield services
        finally:
            for service in services:
                service.kill()


def _break(
    services: Sequence[Service],
    servers: Sequence[PostgresqlServer | RabbitmqServer],
    *,
    steps: int,
) -> int:
    """Kill one after the other, and restart each server once; how many were killed."""
    chance = random.Random("ordeal")  # noqa: S311 - the same faults in each run
    due = {
        (number + 1) * steps // (len(servers) + 1): server for number, server in enumerate(servers)
    }
    for step in range(steps):
        victim = chance.choice(services)
        victim.kill()
        if server := due.get(step):
            server.stop()
            server.start()
        for service in services:
            # Also one that has ended by itself, as Kubernetes would.
            if not service.is_running:
                service.launch()
        time.sleep(FAULT_SECONDS)
    return steps


def _ordeal_tables(ordeal: Ordeal) -> Iterator[tuple[str, Table]]:
    what = f"{EXECUTORS} executors, {PROXIES} proxies, for {ordeal.seconds:,.0f} s"
    used = f"{ordeal.stretch_starts:,} in {ordeal.stretch_seconds:.0f} s ({ordeal.share_used:.0%})"
    rows = [
        [what, f"{ordeal.kills} killed; RabbitMQ and PostgreSQL restarted"],
        ["attempts; most at once", f"{ordeal.starts:,}; {ordeal.most_at_once}"],
        ["more than allowed", "; ".join(ordeal.excess) or "none"],
        ["starts in a stretch without faults", used],
    ]
    yield "ordeal", Table("An ordeal", ["what", "measured"], rows)


def _ordeal_promises(ordeal: Ordeal | None) -> Iterator[Promise]:
    kept = "whatever is killed or restarted: never more at once, nor in a time, than a limit allows"
    used = "10 executors, a limit that is always waited for: ≥ 90 % of its rate is used"
    if ordeal is None:
        yield from (Promise(kept), Promise(used))
        return
    is_whole = ordeal.seconds >= ORDEAL_SECONDS
    measured = "; ".join(ordeal.excess) or f"{ordeal.most_at_once} at once at most"
    yield Promise(kept, measured, not ordeal.excess if is_whole else None)
    holds = ordeal.share_used >= LEAST_USED and ordeal.held >= LEAST_LEFT
    yield Promise(used, f"{ordeal.share_used:.0%}", holds if is_whole else None)


def _ordeal_faults(ordeal: Ordeal) -> Iterator[str]:
    yield from ordeal.excess
    if not ordeal.stretch_starts:
        yield "nothing was started once all ran again"


ORDEAL = Section(
    name="ordeal",
    results=Ordeal,
    run=_ordeal,
    tables=_ordeal_tables,
    promises=_ordeal_promises,
    faults=_ordeal_faults,
)

OUTAGE_TASKS = 10_000
OUTAGE_SECONDS = 300
OUTAGE_CALL_SECONDS = 0.05
BREAKER_FAILURES = 10
GUARDED = f"""
    concurrency: {BOUNDS.concurrency}
    breaker: {{failures: {BREAKER_FAILURES}, openSeconds: OPEN}}"""
MOST_CALLS = 60
DRAIN_SECONDS = 600
STATUSES = "SELECT status, count(*) FROM tasks GROUP BY status"


@dataclass(frozen=True, slots=True)
class Outage:
    """What an upstream that is down is asked, and how it gets its load back."""

    tasks: int
    seconds: float
    """How long it was down."""
    calls: int
    """In that time: those that opened the breaker, and probes."""
    back_seconds: float
    """From its return until the next call."""
    drain_seconds: float
    """From its return until all had ended."""
    statuses: dict[str, int]
    """Of the tasks in the end."""
    most_at_once: int
    """After its return."""
    over_recovering: int
    """By how many more a breaker that recovers let run at once than it says, at most."""

    @property
    def all_succeeded(self) -> bool:
        """Whether nothing was lost by it."""
        return self.statuses == {"succeeded": self.tasks}


def _outage(bench: Bench, asked: Asked) -> Outage:
    tasks, seconds, opened = (
        (500, 15, "[1, 4]")
        if asked.quick
        else (
            OUTAGE_TASKS,
            OUTAGE_SECONDS,
            "[5, 30]",
        )
    )
    limit = GUARDED.replace("OPEN", opened)
    with limited(bench, limit, call_seconds=OUTAGE_CALL_SECONDS) as system:
        add_held(bench, system.database_url, rows=tasks, fair_keys=[""])
        system.upstream.is_down = True
        with system.running():
            time.sleep(seconds)
            returned = time.time()
            system.upstream.is_down = False
            statuses = _drained(bench, system)
            drained = time.time()
    calls = list(system.upstream.calls)
    later = [call for call in calls if call.ended > returned]
    return Outage(
        tasks=tasks,
        seconds=seconds,
        calls=len(calls) - len(later),
        back_seconds=min((call.began for call in later), default=drained) - returned,
        drain_seconds=drained - returned,
        statuses=statuses,
        most_at_once=most_at_once(later),
        over_recovering=most_over_recovering(later),
    )


def _drained(bench: Bench, system: Limited) -> dict[str, int]:
    """How many tasks there are of each status once all have ended, or the time is over."""
    until = time.monotonic() + DRAIN_SECONDS
    while True:
        statuses = dict(bench.sql(STATUSES, url=system.database_url))
        if statuses.keys().isdisjoint({"queued", "running"}) or time.monotonic() > until:
            return statuses
        time.sleep(1)


def most_over_recovering(calls: Iterable[Span]) -> int:
    """By how many more than have succeeded and one these calls, none of which failed, overlapped.

    Until the breaker has closed; from then on the limit's own bound holds.
    """
    changes = [change for call in calls for change in ((call.began, 1), (call.ended, -1))]
    over = succeeded = now = 0
    # What ends as another begins has ended before.
    for _, step in sorted(changes):
        now += step
        succeeded += step < 0
        if succeeded < BREAKER_FAILURES:
            over = max(over, now - succeeded - 1)
    return over


def _outage_tables(outage: Outage) -> Iterator[tuple[str, Table]]:
    ended = ", ".join(f"{count:,} {status}" for status, count in outage.statuses.items())
    back = f"{outage.back_seconds:.1f} s; {outage.drain_seconds:,.0f} s"
    rows = [
        [f"down for {outage.seconds:,.0f} s: calls, probes among them", f"{outage.calls:,}"],
        ["from its return: until the next call; until all had ended", back],
        [f"of {outage.tasks:,} tasks", ended],
        ["most at once after its return", f"{outage.most_at_once}"],
        ["more at once than recovering allows", f"{outage.over_recovering}"],
    ]
    yield "outage", Table("An outage", ["what", "measured"], rows)


def _outage_promises(outage: Outage | None) -> Iterator[Promise]:
    asked = f"an upstream down for 5 minutes, 10,000 queued: ≤ {MOST_CALLS} calls, no task fails"
    back = "an upstream that is back gets its load back step by step"
    if outage is None:
        yield from (Promise(asked), Promise(back))
        return
    is_whole = outage.seconds >= OUTAGE_SECONDS
    failed = outage.tasks - outage.statuses.get("succeeded", 0)
    holds = outage.all_succeeded and outage.calls <= MOST_CALLS
    measured = f"{outage.calls} calls, {failed:,} tasks did not succeed"
    yield Promise(asked, measured, holds if is_whole else None)
    steps = f"{outage.over_recovering} more at once than it bears, then {outage.most_at_once}"
    is_slow = outage.over_recovering == 0 and outage.most_at_once <= BOUNDS.concurrency
    yield Promise(back, steps, is_slow if is_whole else None)


def _outage_faults(outage: Outage) -> Iterator[str]:
    if not outage.all_succeeded:
        yield f"tasks ended as {outage.statuses}"
    if outage.over_recovering or outage.most_at_once > BOUNDS.concurrency:
        yield f"{outage.over_recovering} over recovering, {outage.most_at_once} at once"


OUTAGE = Section(
    name="outage",
    results=Outage,
    run=_outage,
    tables=_outage_tables,
    promises=_outage_promises,
    faults=_outage_faults,
)
