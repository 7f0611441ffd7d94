"""`./dev chaos`: break everything under load, then see whether anything was lost.

Real processes on this machine's loopback: two proxies, three executors and two more that deliver
callbacks, the demo Customer API, a private PostgreSQL and RabbitMQ. The seed decides what is posted
and what is broken when. Ends with status 0 only where every check holds.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import aiohttp
import structlog
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from asynctestkit.chaos import report
from asynctestkit.chaos.callbacks import (
    Callbacks,
    call_with_callbacks,
    hurry,
    read_callbacks,
)
from asynctestkit.chaos.checks import CHECKS
from asynctestkit.chaos.customers import read_customers
from asynctestkit.chaos.evidence import Evidence
from asynctestkit.chaos.faults import AWAY, WARM_UP_SECONDS, Injector, schedule
from asynctestkit.chaos.history import ORDERS, count_unfinished, read_all, record_changes
from asynctestkit.chaos.ledger import Ledger
from asynctestkit.chaos.limited import Limited, call_limited, read_limited
from asynctestkit.chaos.load import Load
from asynctestkit.chaos.machine import Machine
from asynctestkit.chaos.neighbour import Neighbour, call_neighbour, read_neighbour
from asynctestkit.chaos.reports import Reports, call_reports, read_reports, record_addresses
from asynctestkit.chaos.stalls import Stalls
from asynctestkit.chaos.strangers import Strangers, call_as_stranger
from asynctestkit.chaos.system import DEMO_API, NEIGHBOUR, PREFIX, PROXIES, System
from asynctestkit.recorded_runs import record_runs

QUIET_SECONDS = 90
"""How long after the last fault and the last post every task must be final."""
SETTLE_SECONDS = 6
"""Then a moment more, for acks, heartbeats of the leaving, and memory to be given back."""

log = structlog.get_logger(__name__)


async def run(
    system: System, thread: ThreadPoolExecutor, *, seed: int, seconds: float, rate: float
) -> Evidence:
    """Load and faults, then quiet; all that is known after that."""
    machine, stalls = Machine(), Stalls()
    await record_changes(system.postgresql.url)
    await record_addresses(system.postgresql.url)
    await record_runs(system.postgresql.url, operation=ORDERS)
    ledger, stop = Ledger(), asyncio.Event()
    # Of what an ordinary machine bears, as much as this one does.
    load = Load(system, ledger, seed=seed, rate=rate / machine.usual)
    injector = Injector(system, thread, machine)
    neighbour, reports, strangers, limited = Neighbour(), Reports(), Strangers(), Limited()
    callbacks = Callbacks(system.receivers)
    async with (
        limited.upstream.serving(system.orders_port),
        system.receivers.serving(),
        asyncio.TaskGroup() as tasks,
    ):
        watching = [tasks.create_task(watch()) for watch in (machine.watch, stalls.watch)]
        supervising = tasks.create_task(injector.supervise())
        loading = tasks.create_task(load.run(stop))
        neighbouring = tasks.create_task(call_neighbour(system, neighbour, stop))
        reporting = tasks.create_task(call_reports(system, reports, stop, seed=seed))
        asking = tasks.create_task(call_as_stranger(system, ledger, strangers, stop, seed=seed))
        limiting = tasks.create_task(call_limited(system, limited, stop, seed=seed))
        telling = tasks.create_task(call_with_callbacks(system, stop, seed=seed))
        hurrying = tasks.create_task(hurry(system.postgresql.url))
        breaking = tasks.create_task(injector.run(schedule(seed, seconds=seconds), stop))
        await asyncio.sleep(WARM_UP_SECONDS - 1)
        before = {name: service.rss for name, service in system.services.items()}
        await asyncio.sleep(seconds - WARM_UP_SECONDS + 1)
        stop.set()
        await breaking
        await injector.restore()
        log.info("faults and posts have ended", posts=len(ledger.entries))
        await loading
        await neighbouring
        await reporting
        await asking
        await limiting
        await telling
        await _quiet(system)
        hurrying.cancel()
        supervising.cancel()
        for task in watching:
            task.cancel()
    after = {name: service.rss for name, service in system.services.items()}
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{system.url(DEMO_API)}/stats") as answer:
            upstream = await answer.json()
        stale = [name for name in PROXIES if not await _is_current(session, system, name)]
        waiting = {name: await _waiting(session, system.health_url(name)) for name in PROXIES}
    await read_neighbour(neighbour, system.neighbour_url)
    await read_reports(reports, system.postgresql.url, system.customers)
    await read_limited(limited, system.postgresql.url)
    await read_callbacks(callbacks, system.postgresql.url)
    customers, refusals = read_customers(system.customers)
    return Evidence(
        ledger=ledger,
        found=await read_all(system.postgresql.url),
        injected=injector.injected,
        queues=system.queue_lengths(),
        customers=customers,
        refusals=refusals,
        upstream=upstream,
        memory_before=before,
        memory_after=after,
        neighbour=neighbour,
        reports=reports,
        limited=limited,
        strangers=strangers,
        callbacks=callbacks,
        stale=stale,
        waiting=waiting,
        machine=machine,
        stalls=stalls,
        exceptions=[
            f"{service.name}: {line}"
            for service in system.services.values()
            for line in service.exceptions()
        ],
    )


async def _waiting(session: aiohttp.ClientSession, url: str) -> float:
    async with session.get(f"{url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    (gauge,) = (family for family in families if family.name == "asyncapiproxy_parked_callers")
    return sum(sample.value for sample in gauge.samples)


async def _is_current(session: aiohttp.ClientSession, system: System, name: str) -> bool:
    async with session.get(f"{system.url(name)}/openapi.json") as answer:
        document = await answer.json()
    return not system.changes or system.newest_path in document["paths"]


async def _quiet(system: System) -> None:
    """Return when every task is final and the queues are empty, or the time for it is over."""
    deadline = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < deadline:
        await asyncio.sleep(1)
        with suppress(*AWAY):
            urls = (system.postgresql.url, system.neighbour_url)
            if any([await count_unfinished(url) for url in urls]):
                continue
            queues = await asyncio.to_thread(system.queue_lengths)
            if not any(n for name, n in queues.items() if name.startswith((PREFIX, NEIGHBOUR))):
                break
    await asyncio.sleep(SETTLE_SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3, help="how long faults are made (3)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="by chance")
    parser.add_argument("--rate", type=float, default=40, help="posts a second (40)")
    parser.add_argument("--keep", action="store_true", help="leave the logs of the processes")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("info"))
    console = Console(width=None if sys.stdout.isatty() else 140)
    again = f"./dev chaos --minutes {given.minutes:g} --seed {given.seed}"
    console.print(f"seed {given.seed}: repeat with {again}")
    folder = Path(tempfile.mkdtemp(prefix="asyncapiproxy-chaos-"))
    # One thread for all that starts processes: they end with the thread that started them.
    with ThreadPoolExecutor(1) as thread:
        system = thread.submit(System, folder).result()
        try:
            thread.submit(system.__enter__).result()
            evidence = asyncio.run(
                run(system, thread, seed=given.seed, seconds=given.minutes * 60, rate=given.rate)
            )
            violations = {check.__name__: list(check(evidence)) for check in CHECKS}
            report.show(
                console, evidence, violations, seed=given.seed, minutes=given.minutes, folder=folder
            )
        except KeyboardInterrupt:
            console.print("stopped; no verdict")
            return 130
        finally:
            thread.submit(system.close).result()
            if given.keep:
                console.print(f"logs: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
    return 1 if any(violations.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
