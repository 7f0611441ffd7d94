"""`backlog`: what it costs to relay and to run one task while very many are queued."""

import asyncio
import time
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import aiormq
import aiormq.abc

from asynctasks.broker.messages import TaskMessage
from bench import Bench, console
from cpu import cpu_times, used, wait_until_quiet
from fill import add_queued
from systems import installed

SETTLE_SECONDS = 60
SMALL = 100_000
_FINISHED = "SELECT count(*) FROM tasks WHERE finished_at IS NOT NULL"
_RELAYED = "SELECT {rows} - count(*) FROM tasks WHERE status = 'queued' AND NOT published"


def run(bench: Bench, *, sizes: list[int], seconds: float) -> dict[str, Any]:
    """Tasks a second and CPU for each, by how many wait."""
    runs: list[dict[str, Any]] = []
    for rows in sizes:
        for measured in (_relay, _claim):
            one = {"rows": rows, **measured(bench, rows=rows, seconds=seconds)}
            runs.append(one)
            console.print(
                f"  {rows:>10,} queued  {one['what']:8} {one['per_second']:7.0f}/s  "
                f"{sum(one['cpu_us'].values()):6.0f} µs  "
                + ", ".join(f"{name} {us:.0f}" for name, us in one["cpu_us"].items())
            )
    return {"runs": runs}


def _relay(bench: Bench, *, rows: int, seconds: float) -> dict[str, Any]:
    """A proxy's relay publishes tasks that are due, as after a long outage of the broker."""
    with bench.database() as url, bench.queue_prefix() as prefix, ExitStack() as stack:
        installation = installed(bench, url, prefix)
        add_queued(bench, url, rows=rows, published=False)
        proxy = stack.enter_context(installation.proxy())
        parts = {"proxy": [proxy.pid], **_servers(bench)}
        return {
            "what": "relay",
            **_rate(bench, url, parts, _RELAYED.format(rows=rows), rows=rows, seconds=seconds),
        }


def _claim(bench: Bench, *, rows: int, seconds: float) -> dict[str, Any]:
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
        return {
            "what": "run",
            **_rate(bench, url, parts, _FINISHED, rows=rows, seconds=seconds),
        }


def _servers(bench: Bench) -> dict[str, list[int]]:
    return {"rabbitmq": bench.rabbitmq_pids, "postgresql": bench.postgresql_pids}


def _rate(
    bench: Bench, url: str, parts: dict[str, list[int]], count: str, *, rows: int, seconds: float
) -> dict[str, Any]:
    """How fast the count grows, between its first look and its last; the looks cost nothing."""
    first = bench.sql(count, url=url)[0][0]
    before, began = cpu_times(parts), time.monotonic()
    # A small backlog is looked at often, before it is gone; counting a large one takes long.
    step = 0.25 if rows <= SMALL else seconds
    while time.monotonic() - began < seconds:
        time.sleep(step)
        after, at = cpu_times(parts), time.monotonic()
        last = bench.sql(count, url=url)[0][0]
        if last >= rows / 2:
            break
    tasks = last - first
    spent = used(before, after)
    return {
        "tasks": tasks,
        "per_second": tasks / (at - began),
        "cpu_us": {name: ns / 1e3 / max(1, tasks) for name, ns in spent.items()},
    }


async def _publish_all(broker_url: str, queue: str, ids: list[UUID]) -> None:
    """A message for each task, as the proxies would have published them."""
    connection = await aiormq.connect(broker_url)
    channel = await connection.channel(publisher_confirms=False)
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
