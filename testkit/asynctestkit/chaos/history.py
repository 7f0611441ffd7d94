"""What the database itself saw of every task: a trigger writes down each change of a row."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from asynctasks.operations import delivery_operation

REPORTS, ORDERS = "create-report", "create-order"
ELSEWHERE = (REPORTS, ORDERS, delivery_operation.NAME)
"""The operations whose tasks are looked at in `reports`, `limited` and `callbacks` alone."""
RECORD_CHANGES = f"""
CREATE TABLE chaos_history (
    seq bigserial PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    task_id uuid NOT NULL,
    version int NOT NULL,
    status text NOT NULL,
    attempt int NOT NULL,
    started_at timestamptz,
    executor text,
    cancel_requested boolean NOT NULL,
    response_status int,
    digest text,
    error_type text,
    recorded_number int,
    recorded_executor text
);
CREATE FUNCTION chaos_digest(body bytea, blob text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN blob IS NULL THEN md5(body) ELSE (
        SELECT md5(string_agg(data, ''::bytea ORDER BY number)) FROM blob_chunks WHERE name = blob
    ) END
$$;
CREATE FUNCTION chaos_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_history (task_id, version, status, attempt, started_at, executor,
        cancel_requested, response_status, digest, error_type, recorded_number, recorded_executor)
    VALUES (NEW.id, NEW.version, NEW.status, NEW.attempt, NEW.attempt_started_at, NEW.executor,
        NEW.cancel_requested, NEW.response_status,
        chaos_digest(NEW.response_body, NEW.response_blob), NEW.error->>'type',
        (NEW.attempts->-1->>'number')::int,
        NEW.attempts->-1->>'executor');
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_inserted AFTER INSERT ON tasks
    FOR EACH ROW WHEN (NEW.operation NOT IN {ELSEWHERE})
    EXECUTE FUNCTION chaos_record();
-- Leases and publishing are bookkeeping that nobody sees; all else is a change.
CREATE TRIGGER chaos_updated AFTER UPDATE ON tasks
    FOR EACH ROW WHEN (NEW.operation NOT IN {ELSEWHERE} AND
        (OLD.version, OLD.status, OLD.attempt, OLD.executor, OLD.cancel_requested,
         OLD.response_status, OLD.response_body, OLD.response_blob, OLD.error::text,
         OLD.attempts::text)
        IS DISTINCT FROM
        (NEW.version, NEW.status, NEW.attempt, NEW.executor, NEW.cancel_requested,
         NEW.response_status, NEW.response_body, NEW.response_blob, NEW.error::text,
         NEW.attempts::text))
    EXECUTE FUNCTION chaos_record();
CREATE TABLE chaos_deletions (task_id uuid);
CREATE FUNCTION chaos_record_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_deletions VALUES (OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_deleted AFTER DELETE ON tasks
    FOR EACH ROW EXECUTE FUNCTION chaos_record_deletion();
"""

FINAL = frozenset({"succeeded", "failed", "cancelled", "expired"})


@dataclass(frozen=True)
class Change:
    """The row as it was after one change."""

    at: datetime
    version: int
    status: str
    attempt: int
    started_at: datetime | None
    """When the attempt began, by the row itself: `at` is when the whole statement had ended, which
    takes seconds where the database is starved."""
    executor: str | None
    cancel_requested: bool
    response_status: int | None
    digest: str | None
    error_type: str | None
    recorded_number: int | None
    recorded_executor: str | None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    def line(self) -> str:
        return (
            f"{self.at:%H:%M:%S.%f} version {self.version} {self.status} attempt {self.attempt} "
            f"executor {self.executor} response {self.response_status} error {self.error_type} "
            f"{'cancel asked for ' if self.cancel_requested else ''}"
            f"last recorded attempt {self.recorded_number} by {self.recorded_executor}"
        )


@dataclass(frozen=True)
class Row:
    """A task as it is in the end, and how it came there."""

    id: str
    email: str
    values: dict[str, Any]
    changes: list[Change]

    @property
    def status(self) -> str:
        return self.values["status"]


@dataclass(frozen=True)
class Found:
    """What the database holds after the run."""

    rows: dict[str, Row]
    deleted: int


async def record_changes(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(RECORD_CHANGES)
    finally:
        await connection.close()


async def count_unfinished(database_url: str) -> int:
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        return await connection.fetchval("SELECT count(*) FROM tasks WHERE finished_at IS NULL")
    finally:
        await connection.close()


async def read_all(database_url: str) -> Found:
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        changes: defaultdict[str, list[Change]] = defaultdict(list)
        for record in await connection.fetch("SELECT * FROM chaos_history ORDER BY seq"):
            values = {
                name: value for name, value in record.items() if name not in {"seq", "task_id"}
            }
            changes[str(record["task_id"])].append(Change(**values))
        records = await connection.fetch(
            "SELECT *, arguments->>'email' AS email,"
            " chaos_digest(response_body, response_blob) AS digest,"
            " error->>'type' AS error_type, (error->>'status')::int AS error_status,"
            " NULL AS response_body, NULL AS sealed_arguments FROM tasks"
            " WHERE operation <> ALL ($1)",
            ELSEWHERE,
        )
        rows = [
            Row(str(record["id"]), record["email"], dict(record), changes[str(record["id"])])
            for record in records
        ]
        deleted = await connection.fetchval("SELECT count(*) FROM chaos_deletions")
        return Found({row.id: row for row in rows}, deleted)
    finally:
        await connection.close()
