"""The task database: connections to PostgreSQL or SQLite, by one interface."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson
from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from asynctasks.errors import DatabaseUnavailableError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10
"""No statement of a service takes as long: one that does has a database that hangs."""
IDLE_SECONDS = 5
"""How long PostgreSQL keeps the transaction of a process that has gone silent in its midst.

One that is stopped, or cut off, would hold its rows, and all who wait for them, as long as it is.
"""
UNAVAILABLE_SQLSTATES = ("08", "25006", "25P03", "28", "3D", "40", "53", "57")
"""How the answers begin with which PostgreSQL serves no statement now, or lets it be tried again:

no connection; read-only after a failover; silent for too long; no such user or database; deadlock;
out of connections, memory or disk; starting up or shutting down.
"""
SQLITE_MAGIC = b"SQLite format 3\0"
SQLITE_BUSY_SECONDS = 30
"""How long a writer waits for another process's transaction on the same file."""


def _to_json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()


_ENGINE: dict[str, Any] = {
    "json_serializer": _to_json,
    "json_deserializer": orjson.loads,
    # An error's text may reach a log, and callers' data is none of the log's.
    "hide_parameters": True,
}


class Database:
    """The task database. On SQLite one connection writes and others read."""

    def __init__(
        self,
        database_url: str,
        *,
        connections: int = 10,
        statement_seconds: float | None = STATEMENT_SECONDS,
    ) -> None:
        url = driver_url(database_url)
        self.dialect = url.get_backend_name()
        self.has_one_writer = self.dialect == "sqlite"
        if self.has_one_writer:
            check_sqlite_file(Path(url.database or ""))
            self._writers = _sqlite_engine(url, connections=1)
            self._readers = _sqlite_engine(url, connections=connections)
        else:
            self._writers = _postgresql_engine(
                url, connections=connections, statement_seconds=statement_seconds
            )
            # The same connections, without the round trips of BEGIN and ROLLBACK.
            self._readers = self._writers.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction, committed on leaving; raises DatabaseUnavailableError."""
        with _translated():
            async with self._writers.begin() as connection:
                yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction for a single statement; raises DatabaseUnavailableError.

        On PostgreSQL that is one round trip, where BEGIN and COMMIT make three of it.
        """
        async with self.write() if self.has_one_writer else self.read() as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A connection to read from; raises DatabaseUnavailableError."""
        with _translated():
            async with self._readers.connect() as connection:
                yield connection

    async def ping(self) -> None:
        """One round trip; raises DatabaseUnavailableError."""
        with _translated():
            async with asyncio.timeout(CONNECT_SECONDS), self.read() as connection:
                await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.dispose()
        await self._writers.dispose()


def driver_url(database_url: str) -> URL:
    """The URL with the driver we use; raises SettingsError where it names no such database."""
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise SettingsError(
            "ASYNCAPIPROXY_DATABASE_URL is no URL: expected "
            "postgresql://user:password@host/database or sqlite:///file.db"
        ) from None
    except ValueError:
        # Its text quotes what stands in the port's place, which may be a part of the password.
        raise SettingsError("ASYNCAPIPROXY_DATABASE_URL has a port that is no number") from None
    backend = url.drivername.partition("+")[0]
    if backend not in DRIVERS:
        raise SettingsError(
            f"ASYNCAPIPROXY_DATABASE_URL names {backend!r}: expected postgresql:// or sqlite:///"
        )
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise SettingsError("ASYNCAPIPROXY_DATABASE_URL names no file: expected sqlite:///file.db")
    if "sslmode" in url.query:  # libpq's name, as people write it; asyncpg calls it `ssl`.
        url = url.difference_update_query(["sslmode"]).update_query_dict(
            {"ssl": url.query["sslmode"]}
        )
    return url.set(drivername=DRIVERS[backend])


def check_sqlite_file(file: Path) -> None:
    """Raise SettingsError where there is something that is no SQLite database."""
    try:
        with file.open("rb") as opened:
            start = opened.read(len(SQLITE_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(f"{file}: cannot be opened: {error.strerror}") from error
    if start not in {b"", SQLITE_MAGIC}:
        raise SettingsError(f"{file}: is no SQLite database")


def _postgresql_engine(
    url: URL, *, connections: int, statement_seconds: float | None
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=CONNECT_SECONDS,
        connect_args={"timeout": CONNECT_SECONDS, "command_timeout": statement_seconds},
        **_ENGINE,
    )

    def replace_closed(dbapi_connection: Any, *_: Any) -> None:
        # asyncpg has seen the server go; asking it costs no round trip, unlike pool_pre_ping.
        if dbapi_connection.driver_connection.is_closed():
            raise DisconnectionError

    def limit_silence(dbapi_connection: Any, *_: Any) -> None:
        # A statement, because PgBouncer refuses to pass it on as a parameter of the connection.
        cursor = dbapi_connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        cursor.close()
        dbapi_connection.commit()

    event.listen(engine.sync_engine, "checkout", replace_closed)
    if statement_seconds is not None:
        event.listen(engine.sync_engine, "connect", limit_silence)
    return engine


def _sqlite_engine(url: URL, *, connections: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=CONNECT_SECONDS,
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
        **_ENGINE,
    )

    def set_up(dbapi_connection: Any, _: Any) -> None:
        # The driver would begin transactions late, in its own way: we begin them, below.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        # FULL: what was accepted survives a loss of power, not only of the process.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "temp_store = MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin(connection: Any) -> None:
        # A transaction that reads before it writes could fail half-way for want of the lock.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connections == 1 else "BEGIN")

    event.listen(engine.sync_engine, "connect", set_up)
    event.listen(engine.sync_engine, "begin", begin)
    return engine


@contextmanager
def _translated() -> Generator[None]:
    """Turn what the drivers raise when the database is away or full into our one error."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            raise  # a statement that is wrong, such as one on a table that is not there
        raise DatabaseUnavailableError(
            f"The task database does not answer: {error.orig}"
        ) from error
    except DBAPIError as error:
        if not _is_away(error):
            raise
        raise DatabaseUnavailableError(f"The task database is away: {error.orig}") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # asyncpg's own word, which SQLAlchemy passes on as it is: the server ended the connection
        # while a statement was on its way.
        raise DatabaseUnavailableError(f"The task database went away: {error}") from error
    except (OSError, PoolTimeoutError) as error:  # TimeoutError is an OSError
        raise DatabaseUnavailableError(
            f"The task database does not answer: {error or type(error).__name__}"
        ) from error


def _is_away(error: DBAPIError) -> bool:
    sqlstate: str | None = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:
        # An internal error that is not the server's is asyncpg's own: the server ended the
        # connection while a statement was on its way.
        is_away = isinstance(error, InternalError)
    else:
        is_away = sqlstate.startswith(UNAVAILABLE_SQLSTATES)
    return is_away or error.connection_invalidated
