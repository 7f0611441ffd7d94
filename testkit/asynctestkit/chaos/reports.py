"""Work that the upstream does after its answer: begun at a steady rate, while all is broken.

What is asked is one thing: that no executor makes a call again once the address of its job is in
the row. The upstream notes when it was called for each key, the database when each row had one.
"""

import asyncio
import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg

from asynctestkit.chaos.history import REPORTS
from asynctestkit.chaos.system import PROXIES, System
from asynctestkit.chaos.tenants import RED

POST_SECONDS = 0.4
"""With this and the length of the jobs about forty go on at a time."""
JOB_SECONDS = (5, 25)
TIMEOUT_SECONDS = 20
UPSTREAM_FAULTS = frozenset({"upstream-timeout", "upstream-unreachable", "upstream-failed"})
"""What a stopped upstream does to a call, before there is a job."""
RECORD_ADDRESSES = f"""
CREATE TABLE chaos_jobs (
    task_id uuid PRIMARY KEY, stored_at timestamptz NOT NULL, attempt int NOT NULL
);
CREATE FUNCTION chaos_record_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_jobs VALUES (NEW.id, clock_timestamp(), NEW.attempt) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_job_stored AFTER UPDATE ON tasks
    FOR EACH ROW WHEN (NEW.operation = '{REPORTS}' AND NEW.upstream_job IS NOT NULL)
    EXECUTE FUNCTION chaos_record_job();
"""


@dataclass(frozen=True)
class Stored:
    """When a row first had its job's address, and by which attempt."""

    at: float
    attempt: int


@dataclass(frozen=True)
class End:
    """How a report's task ended."""

    status: str
    error: str
    attempt: int


@dataclass
class Reports:
    """The reports that were asked for, and what is known of them in the end."""

    accepted: list[str] = field(default_factory=list[str])
    ends: dict[str, End] = field(default_factory=dict[str, End])
    stored: dict[str, Stored] = field(default_factory=dict[str, Stored])
    called_at: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong, and with which task."""
        for task, stored in self.stored.items():
            yield from ((fault, task) for fault in self._faults_of_job(task, stored))
        for task in self.accepted:
            end = self.ends.get(task)
            if end is None:
                yield "a report that was accepted is not there", task
            elif end.status != "succeeded" and end.error not in UPSTREAM_FAULTS:
                yield f"a report that was accepted is {end.status} {end.error}", task
        if not self.stored:
            yield "not one report was begun", ""

    def _faults_of_job(self, task: str, stored: Stored) -> Iterator[str]:
        end, calls = self.ends[task], self.called_at[task]
        if end.attempt != stored.attempt:
            yield f"attempt {end.attempt} began once attempt {stored.attempt} had a job"
        # One that was stopped in the middle of an earlier attempt calls when it goes on, and no
        # lease can keep it from that: the key tells the upstream that it has been called.
        later = sum(at > stored.at for at in calls)
        if later and len(calls) > stored.attempt:
            yield f"was called {later} times once its address was stored"
        if end.status != "succeeded":
            yield f"its job was begun, and it is {end.status} {end.error}"


async def call_reports(system: System, reports: Reports, stop: asyncio.Event, *, seed: int) -> None:
    """Ask for one after the other until `stop`."""
    rng = random.Random(f"reports {seed}")
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, headers=RED) as session,
        asyncio.TaskGroup() as tasks,
    ):
        while not stop.is_set():
            seconds, proxy = rng.uniform(*JOB_SECONDS), rng.choice(PROXIES)
            tasks.create_task(_ask(session, system.url(proxy), reports, seconds))
            await asyncio.sleep(POST_SECONDS)


async def _ask(session: aiohttp.ClientSession, url: str, reports: Reports, seconds: float) -> None:
    body, headers = {"seconds": round(seconds, 1)}, {"Prefer": "respond-async"}
    # Whoever is not answered has no task to ask after.
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with session.post(f"{url}/reports", json=body, headers=headers) as answer:
            if answer.status == 202:
                reports.accepted.append((await answer.json())["id"])


async def record_addresses(database_url: str) -> None:
    """Have the database note when each row has its job's address."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(RECORD_ADDRESSES)
    finally:
        await connection.close()


async def read_reports(reports: Reports, database_url: str, customers: Path) -> None:
    """What the database and the upstream know in the end."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        for row in await connection.fetch(
            "SELECT id, status, attempt, coalesce(error->>'type', '') AS error FROM tasks"
            " WHERE operation = $1",
            REPORTS,
        ):
            end = End(row["status"], row["error"], row["attempt"])
            reports.ends[str(row["id"])] = end
        for row in await connection.fetch(
            "SELECT task_id, extract(epoch FROM stored_at)::float AS at, attempt FROM chaos_jobs"
        ):
            reports.stored[str(row["task_id"])] = Stored(row["at"], row["attempt"])
    finally:
        await connection.close()
    reports.called_at = _calls(customers)


def _calls(customers: Path) -> dict[str, list[float]]:
    calls: defaultdict[str, list[float]] = defaultdict(list)
    connection = sqlite3.connect(f"file:{customers}?mode=ro", uri=True)
    try:
        for key, at in connection.execute("SELECT * FROM report_calls"):
            calls[key].append(at)
    finally:
        connection.close()
    return dict(calls)
