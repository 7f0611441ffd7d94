"""The demo Customer API's reports, which take their time, and every SQL statement on them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uuid_utils

if TYPE_CHECKING:
    import sqlite3

REPORTS_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS reports (
    id TEXT PRIMARY KEY,
    idempotency_key TEXT UNIQUE,
    started_at REAL NOT NULL,
    seconds REAL NOT NULL,
    is_cancelled INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- Each call that asked for one, so that a second one by the same key can be seen.
CREATE TABLE IF NOT EXISTS report_calls (idempotency_key TEXT, called_at REAL NOT NULL);
"""
DONE_PERCENT: Final = 100
MOST_CLIENTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Report:
    """A report that is being made, for so many seconds."""

    id: str
    started_at: float
    seconds: float
    is_cancelled: bool

    def percent(self, now: float) -> int:
        """How much of it is done by then."""
        passed = max(0.0, now - self.started_at)
        if passed >= self.seconds:
            return DONE_PERCENT
        return min(DONE_PERCENT - 1, int(DONE_PERCENT * passed / self.seconds))


@dataclass(frozen=True, slots=True)
class ReportCall:
    """A `POST /reports`, which starts one report for each idempotency key."""

    seconds: float
    key: str | None


def start_report(connection: sqlite3.Connection, call: ReportCall) -> Report:
    """The report of the key, or a new one."""
    now = time.time()
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO report_calls VALUES (?, ?)", (call.key, now))
        connection.execute(
            "INSERT INTO reports (id, idempotency_key, started_at, seconds) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (idempotency_key) DO NOTHING",
            (new_id := str(uuid_utils.uuid7()), call.key, now, call.seconds),
        )
        found = find_report(connection, new_id)
        if found is None:
            (known,) = connection.execute(
                "SELECT id FROM reports WHERE idempotency_key = ?", (call.key,)
            ).fetchone()
            found = find_report(connection, known)
    assert found is not None
    return found


def find_report(connection: sqlite3.Connection, report_id: str) -> Report | None:
    """The report with this id, if there is one."""
    row = connection.execute(
        "SELECT id, started_at, seconds, is_cancelled FROM reports WHERE id = ?", (report_id,)
    ).fetchone()
    return None if row is None else Report(row[0], row[1], row[2], bool(row[3]))


def cancel_report(connection: sqlite3.Connection, report_id: str) -> None:
    """Let the report be made no further."""
    connection.execute("UPDATE reports SET is_cancelled = 1 WHERE id = ?", (report_id,))


def reported_clients(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """What a report tells of: id, email and name of the clients, the newest first."""
    return connection.execute(
        "SELECT id, email, name FROM clients ORDER BY id DESC LIMIT ?", (MOST_CLIENTS,)
    ).fetchall()
