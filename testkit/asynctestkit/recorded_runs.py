"""When each attempt began and ended, as the database notes it, and whether that was allowed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import asyncpg

from asynctestkit.recording_upstream import Span, most_at_once, most_begun_within

WINDOWS_SECONDS = (1.0, 5.0, 30.0)
CLOCK_SECONDS = 0.05
"""Between the moment that a start is counted by and the one that is noted."""
RECORD_RUNS = """
CREATE TABLE recorded_runs (
    seq bigserial PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    task_id uuid NOT NULL,
    is_running boolean NOT NULL
);
CREATE FUNCTION record_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO recorded_runs (task_id, is_running) VALUES (NEW.id, NEW.status = 'running');
    RETURN NULL;
END $$;
CREATE TRIGGER record_run AFTER UPDATE ON tasks
    FOR EACH ROW WHEN (NEW.operation = '{operation}' AND NEW.status <> OLD.status)
    EXECUTE FUNCTION record_run();
"""
READ_RUNS = """
SELECT task_id, extract(epoch FROM at)::float AS at, is_running FROM recorded_runs ORDER BY seq
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many may run at once, and how many may start in a second."""

    concurrency: int
    rate: float
    burst: int


async def record_runs(database_url: str, *, operation: str) -> None:
    """Have the database note when each attempt of the operation begins and ends."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(RECORD_RUNS.format(operation=operation))
    finally:
        await connection.close()


async def read_runs(database_url: str) -> list[Span]:
    """All attempts that were noted; one that has not ended ends never."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        return _runs(await connection.fetch(READ_RUNS))
    finally:
        await connection.close()


def excess(what: str, spans: Sequence[Span], bounds: Bounds) -> Iterator[str]:
    """What of the spans was more than is allowed."""
    most = most_at_once(spans)
    if most > bounds.concurrency:
        yield f"{most} {what} ran at once, {bounds.concurrency} are allowed"
    for seconds in WINDOWS_SECONDS:
        begun = most_begun_within(spans, seconds)
        allowed = int(bounds.rate * (seconds + CLOCK_SECONDS)) + bounds.burst
        if begun > allowed:
            yield f"{begun} {what} began within {seconds:g} s, {allowed} are allowed"


def _runs(changes: Iterable[asyncpg.Record]) -> list[Span]:
    runs: list[Span] = []
    running: dict[str, Span] = {}
    for change in changes:
        task = str(change["task_id"])
        if change["is_running"]:
            running[task] = Span(task, change["at"])
            runs.append(running[task])
        elif task in running:
            running.pop(task).ended = change["at"]
    return runs
