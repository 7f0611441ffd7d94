"""Callers who have receivers told of their tasks' ends, while all is broken.

What is asked: that each end is told at least once, by one id, to the one who was named and nobody
else. The database knows the ends, the receivers what they were told.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import TYPE_CHECKING

import aiohttp
import asyncpg

from asynctasks.operations import delivery_operation
from asynctestkit.chaos.faults import AWAY
from asynctestkit.chaos.receivers import HABITS, Habit, Receivers
from asynctestkit.chaos.system import PROXIES, System
from asynctestkit.chaos.tenants import RED

if TYPE_CHECKING:
    from asyncapiproxy import CallbackEvent

POST_SECONDS = 0.5
TIMEOUT_SECONDS = 20
CANCELLED_DELAY_SECONDS = 5
REASONS: dict[Habit, str] = {
    "down": "it was refused",
    "slow": "did not answer within",
    "redirecting": "Redirects are not followed",
    "resetting": "it was reset",
    "moving": "its host has a loopback address",
}
"""What the tries say that have failed as each receiver wants them to."""
ENDS: tuple[tuple[str, dict[str, str]], ...] = (
    ("", {}),
    (".slow+1", {}),
    (".fail+404", {}),
    (".slow+6", {"Task-Deadline": "3"}),
    ("", {"Task-Delay": str(CANCELLED_DELAY_SECONDS)}),
)
"""How the upstream is to behave, and the headers; what is delayed is cancelled meanwhile."""
HURRY = """
UPDATE tasks
SET run_after = now() + interval '3 seconds', next_publish_at = now() + interval '3 seconds'
WHERE operation = $1 AND status = 'queued' AND run_after > now() + interval '6 seconds'
"""
"""The first wait of a delivery is 5 s and stays that; of minutes and days nobody waits here."""


@dataclass(frozen=True)
class Delivered:
    """A delivery as it is in the end."""

    task: str
    habit: Habit
    status: str
    reasons: tuple[str, ...]
    """Why tries of it have failed."""


@dataclass
class Callbacks:
    """The ends of which somebody was to be told, and what is known of that in the end."""

    receivers: Receivers
    ends: dict[str, str] = field(default_factory=dict[str, str])
    """The status of each task that has a callback."""
    deliveries: list[Delivered] = field(default_factory=list[Delivered])

    @property
    def failures(self) -> Counter[Habit]:
        """How many tries have failed at each receiver as it wanted them to."""
        return Counter(
            delivery.habit
            for delivery in self.deliveries
            for reason in delivery.reasons
            if REASONS.get(delivery.habit, reason) in reason
        )

    def faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong, and with which task."""
        told: defaultdict[str, list[CallbackEvent]] = defaultdict(list)
        for event in self.receivers.accepted.values():
            told[event.task.id].append(event)
        for task, status in self.ends.items():
            events = told.pop(task, [])
            if not events:
                yield f"nobody was told that it is {status}", task
            elif len(events) > 1:
                yield f"its end was told by {len(events)} ids", task
            elif events[0].task.status != status:
                yield f"it is {status}, and {events[0].task.status} was told", task
        yield from (("an end was told of a task that is not there", task) for task in told)
        for delivery in self.deliveries:
            if delivery.status != "succeeded":
                yield f"a delivery is {delivery.status}", delivery.task
        yield from ((fault, "") for fault in self.receivers.unfit)
        yield from ((f"{where} was called", "") for where in self.receivers.astray)
        for habit, reason in REASONS.items():
            if not self.failures[habit]:
                yield f"no try has failed at the one that is {habit}: … {reason} …", ""


async def call_with_callbacks(system: System, stop: asyncio.Event, *, seed: int) -> None:
    """Submit one after the other until `stop`, in turn for each receiver, to each kind of end."""
    rng = random.Random(f"callbacks {seed}")
    turns: Iterator[Habit] = cycle(HABITS)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, headers=RED) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for number in count(1):
            if stop.is_set():
                return
            behaviour, headers = rng.choice(ENDS)
            url = system.url(rng.choice(PROXIES))
            email = f"told{number}{behaviour}@example.com"
            headers = {"Task-Callback": system.receivers.url(next(turns)), **headers}
            tasks.create_task(_submit(session, url, email, headers))
            await asyncio.sleep(POST_SECONDS)


async def _submit(
    session: aiohttp.ClientSession, url: str, email: str, headers: dict[str, str]
) -> None:
    body = {"email": email, "name": "Ann"}
    headers = {"Prefer": "respond-async", **headers}
    # Whoever is not answered may have a task: the database knows.
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with session.post(f"{url}/clients", json=body, headers=headers) as answer:
            task = answer.headers.get("Task-Id")
        if task and "Task-Delay" in headers:
            async with session.post(f"{url}/tasks/{task}/cancel"):
                pass


async def hurry(database_url: str) -> None:
    """Have no delivery wait for minutes, until this is cancelled."""
    while True:
        await asyncio.sleep(1)
        with suppress(*AWAY):
            connection = await asyncpg.connect(database_url, timeout=5)
            try:
                await connection.execute(HURRY, delivery_operation.NAME)
            finally:
                await connection.close()


async def read_callbacks(callbacks: Callbacks, database_url: str) -> None:
    """What the database knows in the end."""
    habits: dict[str, Habit] = {callbacks.receivers.url(habit): habit for habit in HABITS}
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        for row in await connection.fetch(
            "SELECT id, status FROM tasks WHERE callbacks IS NOT NULL"
        ):
            callbacks.ends[str(row["id"])] = row["status"]
        for row in await connection.fetch(
            "SELECT delivery_of, arguments->>'url' AS url, status, ARRAY("
            " SELECT tried->>'detail' FROM json_array_elements(attempts) AS tried"
            " WHERE tried->>'outcome' = 'failed') AS reasons FROM tasks WHERE operation = $1",
            delivery_operation.NAME,
        ):
            task, habit = str(row["delivery_of"]), habits[row["url"]]
            found = Delivered(task, habit, row["status"], tuple(row["reasons"]))
            callbacks.deliveries.append(found)
    finally:
        await connection.close()
