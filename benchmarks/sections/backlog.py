"""`backlog`: what it costs to relay and to run one task while very many are queued."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiormq

from asynctasks.broker.messages import TaskMessage
from benchmarks.machine.bench import Bench, console
from benchmarks.machine.cpu import cpu_times, used, wait_until_quiet
from benchmarks.machine.fill import add_queued
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table
from benchmarks.systems.systems import installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

SETTLE_SECONDS = 60
SMALL = 100_000
PARTS = ("proxy", "executor", "rabbitmq", "postgresql")
RELAY, RUN = "relay", "run"
_FINISHED = "SELECT count(*) FROM tasks WHERE finished_at IS NOT NULL"
_RELAYED = "SELECT {rows} - count(*) FROM tasks WHERE status = 'queued' AND NOT published"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a task's way, with so many of them queued."""

    what: str
    """RELAY or RUN."""
    rows: int
    tasks: int
    """Those that took the step while it was measured."""
    per_second: float
    cpu_us: dict[str, float]
    """For each of them, by part."""

    @property
    def cpu_us_total(self) -> float:
        """Of all parts."""
        return sum(self.cpu_us.values())


@dataclass(frozen=True, slots=True)
class Backlog:
    """Each step at each number of queued tasks."""

    steps: list[Step]


def _run(bench: Bench, asked: Asked) -> Backlog:
    seconds = 2 if asked.quick else 10
    steps: list[Step] = []
    for rows in [3_000] if asked.quick else [20_000, asked.rows or 10**6]:
        for measured in (_relay, _claim):
            step = measured(bench, rows, seconds)
            steps.append(step)
            parts = ", ".join(f"{name} {us:.0f}" for name, us in step.cpu_us.items())
            console.print(
                f"  {rows:>10,} queued  {step.what:8} {step.per_second:7.0f}/s  "
                f"{step.cpu_us_total:6.0f} µs  {parts}"
            )
    return Backlog(steps)


def _relay(bench: Bench, rows: int, seconds: float) -> Step:
    """A proxy's relay publishes tasks that are due, as after a long outage of the broker."""
    with bench.database() as url, bench.queue_prefix() as prefix, ExitStack() as stack:
        installation = installed(bench, url, prefix)
        add_queued(bench, url, rows=rows, published=False)
        proxy = stack.enter_context(installation.proxy())
        parts = {"proxy": [proxy.pid], **_servers(bench)}
        relayed = _Count(bench, url, _RELAYED.format(rows=rows))
        return _step(RELAY, relayed, parts, rows=rows, seconds=seconds)


def _claim(bench: Bench, rows: int, seconds: float) -> Step:
    """An executor runs tasks, each with its message, while a proxy looks after the rest."""
    with bench.database() as url, bench.queue_prefix() as prefix, ExitStack() as stack:
        installation = installed(bench, url, prefix)
        add_queued(bench, url, rows=rows, published=True)
        proxy = stack.enter_context(installation.proxy())
        ids = [row[0] for row in bench.sql("SELECT id FROM tasks ORDER BY id", url=url)]
        asyncio.run(_publish_all(bench.rabbitmq.url, f"{prefix}.clients", ids))
        # A quorum queue goes on writing what it was given.
        wait_until_quiet(_servers(bench), seconds=SETTLE_SECONDS)
        executor = stack.enter_context(installation.executor())
        parts = {"proxy": [proxy.pid], "executor": [executor.pid], **_servers(bench)}
        return _step(RUN, _Count(bench, url, _FINISHED), parts, rows=rows, seconds=seconds)


def _servers(bench: Bench) -> dict[str, list[int]]:
    return {"rabbitmq": bench.rabbitmq_pids, "postgresql": bench.postgresql_pids}


@dataclass(frozen=True, slots=True)
class _Count:
    """How many tasks have taken a step so far."""

    bench: Bench
    url: str
    statement: str

    def read(self) -> int:
        return int(self.bench.sql(self.statement, url=self.url)[0][0])


def _step(
    what: str, count: _Count, parts: dict[str, list[int]], *, rows: int, seconds: float
) -> Step:
    """How fast the count grows, between its first look and its last; the looks cost nothing."""
    first = count.read()
    before, began = cpu_times(parts), time.monotonic()
    # A small backlog is looked at often, before it is gone; counting a large one takes long.
    pause = 0.25 if rows <= SMALL else seconds
    while True:
        time.sleep(pause)
        after, at = cpu_times(parts), time.monotonic()
        last = count.read()
        if last >= rows / 2 or time.monotonic() - began >= seconds:
            break
    tasks = last - first
    cpu_us = {name: ns / 1e3 / max(1, tasks) for name, ns in used(before, after).items()}
    return Step(what, rows, tasks, tasks / (at - began), cpu_us)


async def _publish_all(broker_url: str, queue: str, ids: list[UUID]) -> None:
    """A message for each task, as the proxies would have published them."""
    connection = await aiormq.connect(broker_url)
    channel = await connection.channel(publisher_confirms=False)
    # Only this class can publish without waiting until it is written.
    assert isinstance(channel, aiormq.Channel)
    properties = aiormq.spec.Basic.Properties(delivery_mode=2, content_type="application/json")
    for number, task_id in enumerate(ids):
        await channel.basic_publish(
            TaskMessage(task_id, "create-client").encode(),
            routing_key=queue,
            properties=properties,
            wait=number % 200 == 0,
        )
    # Its answer comes after all before it have been taken.
    await channel.queue_declare(queue, passive=True)
    await connection.close()


def _tables(backlog: Backlog) -> Iterator[tuple[str, Table]]:
    table = Table(
        "A backlog: CPU for each task in µs",
        ["step", "queued", "tasks/s", *PARTS, "in all"],
    )
    for step in sorted(backlog.steps, key=lambda each: (each.what, each.rows)):
        table.rows.append(
            [
                step.what,
                f"{step.rows:,}",
                f"{step.per_second:,.0f}",
                *(f"{step.cpu_us[part]:,.0f}" if part in step.cpu_us else "" for part in PARTS),
                f"{step.cpu_us_total:,.0f}",
            ]
        )
    yield "backlog", table


def _promises(backlog: Backlog | None) -> Iterator[Promise]:
    for what in (RELAY, RUN):
        text = f"CPU to {what} a task ≤ 1.15 × with 10⁶ queued"
        steps = [step for step in backlog.steps if step.what == what] if backlog else []
        if not steps:
            yield Promise(text)
            continue
        totals = {step.rows: step.cpu_us_total for step in steps}
        smallest, largest = min(totals), max(totals)
        ratio = totals[largest] / totals[smallest]
        measured = f"{ratio:.2f} × from {smallest:,} to {largest:,} queued"
        yield Promise(text, measured, ratio <= 1.15 if largest >= 10**6 else None)


BACKLOG = Section(name="backlog", results=Backlog, run=_run, tables=_tables, promises=_promises)
