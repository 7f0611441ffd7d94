"""The demo Customer API's clients, and every SQL statement on them."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uuid_utils

from asyncapiproxy.demo.reports import REPORTS_SCHEMA

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
-- Survives the end of the process, not of the machine: enough for a demo, and no fsync per client.
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS clients (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    idempotency_key TEXT UNIQUE
) WITHOUT ROWID;
-- Keys whose answer is that the email was another client's.
CREATE TABLE IF NOT EXISTS refusals (
    idempotency_key TEXT PRIMARY KEY,
    email TEXT NOT NULL
) WITHOUT ROWID;
"""
_BUSY_TIMEOUT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Client:
    """A client as the API shows it. A password is checked on entry and kept nowhere."""

    id: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A `POST /clients`, which creates one client for each idempotency key."""

    email: str
    name: str
    key: str | None


@dataclass(frozen=True, slots=True)
class EmailTaken:
    """The final answer to a call whose email another client has."""

    email: str


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """What a call's end is, and whether an earlier call with the same key had been given it."""

    outcome: Client | EmailTaken
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class Created:
    """How many clients there are, and the most that share one idempotency key: never over 1."""

    clients: int
    by_key_max: int


def open_clients(database: Path) -> sqlite3.Connection:
    """A connection to this file, made if missing, that one thread at a time may use."""
    database.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        database,
        timeout=_BUSY_TIMEOUT_SECONDS,
        isolation_level=None,  # transactions begin where this file says so
        check_same_thread=False,
    )
    connection.executescript(_SCHEMA + REPORTS_SCHEMA)
    return connection


def create_clients(connection: sqlite3.Connection, calls: list[Call]) -> list[FinalAnswer]:
    """A final answer for each call, all in one transaction."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        return [_create(connection, call) for call in calls]


def _create(connection: sqlite3.Connection, call: Call) -> FinalAnswer:
    if call.key is not None and (known := answer_of(connection, call.key)):
        return known
    client = Client(str(uuid_utils.uuid7()), call.email, call.name)
    inserted = connection.execute(
        "INSERT INTO clients (id, email, name, idempotency_key) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (email) DO NOTHING",
        (client.id, client.email, client.name, call.key),
    )
    if inserted.rowcount:
        return FinalAnswer(client)
    if call.key is not None:
        connection.execute("INSERT INTO refusals VALUES (?, ?)", (call.key, call.email))
    return FinalAnswer(EmailTaken(call.email))


def answer_of(connection: sqlite3.Connection, key: str) -> FinalAnswer | None:
    """The final answer that a call with this key was given, if one was."""
    created = connection.execute(
        "SELECT id, email, name FROM clients WHERE idempotency_key = ?", (key,)
    ).fetchone()
    if created is not None:
        return FinalAnswer(Client(*created), is_replay=True)
    refused = connection.execute(
        "SELECT email FROM refusals WHERE idempotency_key = ?", (key,)
    ).fetchone()
    return None if refused is None else FinalAnswer(EmailTaken(*refused), is_replay=True)


def find_client(connection: sqlite3.Connection, client_id: str) -> Client | None:
    """The client with this id, if there is one."""
    row = connection.execute(
        "SELECT id, email, name FROM clients WHERE id = ?", (client_id,)
    ).fetchone()
    return None if row is None else Client(*row)


def count_created(connection: sqlite3.Connection) -> Created:
    """Counts over the whole table: for a look now and then."""
    (clients,) = connection.execute("SELECT count(*) FROM clients").fetchone()
    (by_key_max,) = connection.execute(
        "SELECT coalesce(max(clients), 0) FROM (SELECT count(*) AS clients FROM clients"
        " WHERE idempotency_key IS NOT NULL GROUP BY idempotency_key)"
    ).fetchone()
    return Created(clients, by_key_max)
