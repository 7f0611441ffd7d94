"""Calls of an upstream that bears so many at once and so many a second, while all is broken.

What is asked: that its limit is kept and that no call fails, though they come in floods and it is
down now and then. The database notes when each attempt began and ended; the upstream notes when it
was called.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count

import aiohttp
import asyncpg

from asynctestkit.chaos.history import ORDERS
from asynctestkit.chaos.system import PROXIES, System
from asynctestkit.chaos.tenants import BLUE, RED
from asynctestkit.recorded_runs import Bounds, excess, read_runs
from asynctestkit.recording_upstream import RecordingUpstream, Span

CONCURRENCY, RATE, BURST = 5, 8, 4
"""As the operations file of the chaos has them."""
CALL_SECONDS = 0.4
FLOOD = 40
"""Posts of one tenant, all at once; the other posts one at a time meanwhile."""
FLOOD_SECONDS = 8.0
"""At least, and until most of the flood before have been called: what bounds the calls falls
behind, while executors are killed by the dozen."""
POST_SECONDS = 1.0
UP_SECONDS, DOWN_SECONDS = 30.0, 8.0
TIMEOUT_SECONDS = 20


@dataclass
class Limited:
    """The calls that were asked for, and what is known of them in the end."""

    upstream: RecordingUpstream = field(default_factory=lambda: RecordingUpstream(CALL_SECONDS))
    accepted: list[str] = field(default_factory=list[str])
    statuses: dict[str, str] = field(default_factory=dict[str, str])
    interrupted: set[str] = field(default_factory=set[str])
    """Tasks that have lost an executor: where that was only stopped it calls when it goes on."""
    runs: list[Span] = field(default_factory=list[Span])

    @property
    def waiting(self) -> int:
        """How many have not been called yet, about: some are called more than once."""
        return len(self.accepted) - len({call.key for call in self.upstream.calls})

    def faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong, and with which task."""
        bounds = Bounds(concurrency=CONCURRENCY, rate=RATE, burst=BURST)
        yield from ((fault, "") for fault in excess("attempts", self.runs, bounds))
        undisturbed = [call for call in self.upstream.calls if call.key not in self.interrupted]
        # What was claimed may be called a while later, but never more than run at once.
        late = replace(bounds, burst=BURST + CONCURRENCY)
        yield from ((fault, "") for fault in excess("calls", undisturbed, late))
        for task in self.accepted:
            if (status := self.statuses.get(task)) != "succeeded":
                yield f"a limited call that was accepted is {status}", task
        if not self.runs:
            yield "not one limited call was made", ""


async def call_limited(system: System, limited: Limited, stop: asyncio.Event, *, seed: int) -> None:
    """Flood the upstream until `stop`, and have it down now and then."""
    rng = random.Random(f"limited {seed}")
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    next_flood = time.monotonic()
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as tasks,
    ):
        failing = tasks.create_task(_fail_now_and_then(limited.upstream))
        while not stop.is_set():
            tenants = [BLUE]
            if time.monotonic() >= next_flood and limited.waiting < FLOOD:
                tenants += [RED] * FLOOD
                next_flood = time.monotonic() + FLOOD_SECONDS
            for tenant in tenants:
                url = system.url(rng.choice(PROXIES))
                tasks.create_task(_ask(session, url, limited, tenant))
            await asyncio.sleep(POST_SECONDS)
        failing.cancel()
    limited.upstream.is_down = False


async def _fail_now_and_then(upstream: RecordingUpstream) -> None:
    for number in count():
        await asyncio.sleep(DOWN_SECONDS if number % 2 else UP_SECONDS)
        upstream.is_down = not upstream.is_down


async def _ask(
    session: aiohttp.ClientSession, url: str, limited: Limited, tenant: dict[str, str]
) -> None:
    headers = {"Prefer": "respond-async", **tenant}
    # Whoever is not answered has no task to ask after.
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with session.post(f"{url}/orders", json={}, headers=headers) as answer:
            if answer.status == 202:
                limited.accepted.append((await answer.json())["id"])


async def read_limited(limited: Limited, database_url: str) -> None:
    """What the database knows in the end."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        for row in await connection.fetch(
            "SELECT id, status, interruptions FROM tasks WHERE operation = $1", ORDERS
        ):
            limited.statuses[str(row["id"])] = row["status"]
            if row["interruptions"]:
                limited.interrupted.add(str(row["id"]))
    finally:
        await connection.close()
    limited.runs = await read_runs(database_url)
