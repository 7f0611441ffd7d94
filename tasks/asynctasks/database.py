"""The task database: connections to PostgreSQL or SQLite, by one interface."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from asynctasks.database_url import parse_database_url
from asynctasks.errors import (
    DatabaseUnavailableError,
    ReadTooLongError,
    SettingsError,
    StatementRefusedError,
)
from asynctasks.json_values import json_text, read_json
from asynctasks.postgresql import CONNECT_SECONDS, Postgresql

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from sqlalchemy.engine import URL

STATEMENT_SECONDS = 10
"""No statement of a service takes as long: one that does has a database that hangs."""
LONG_READS_SHARE = 4
"""One in so many connections may be used by reads that may be dear."""
INTERRUPT_BEFORE_SECONDS = 0.05
UNAVAILABLE_SQLSTATES = ("08", "25006", "25P03", "28", "3D", "40", "53", "57")
"""How the answers begin with which PostgreSQL serves no statement now, or lets it be tried again:

no connection; read-only after a failover; silent for too long; no such user or database; deadlock;
out of connections, memory or disk; starting up or shutting down.
"""
LOST_STATEMENT = ("26000", "42P05")
"""Another connection's prepared statements came in ours' way, or ours were gone."""
ALL_IN_USE = "none of this process's connections was free in time"
SQLITE_MAGIC = b"SQLite format 3\0"
SQLITE_BUSY_SECONDS = 30
"""How long a writer waits for another process's transaction on the same file."""


_WRITES_NOTHING = text("UPDATE tasks SET version = version WHERE 1 = 0")
_ENGINE: dict[str, Any] = {
    "json_serializer": json_text,
    "json_deserializer": read_json,
    # An error's text may reach a log, and callers' data is none of the log's.
    "hide_parameters": True,
}


class Database:
    """The task database. On SQLite one connection writes and others read.

    On PostgreSQL one connection more than the callers may use is for `ping` alone: a service is not
    away because it is busy.
    """

    def __init__(
        self,
        database_url: str,
        *,
        connections: int = 10,
        statement_seconds: float | None = STATEMENT_SECONDS,
    ) -> None:
        url = parse_database_url(database_url)
        self.dialect = url.get_backend_name()
        self.has_one_writer = self.dialect == "sqlite"
        self._postgresql: Postgresql | None = None
        self._places = asyncio.Semaphore(connections)
        self._long_reads = asyncio.Semaphore(max(1, connections // LONG_READS_SHARE))
        if self.has_one_writer:
            check_sqlite_file(Path(url.database or ""))
            self._writers = _sqlite_engine(url, connections=1)
            self._readers = _sqlite_engine(url, connections=connections)
        else:
            self._postgresql = Postgresql(
                url,
                connections=connections + 1,
                statement_seconds=statement_seconds,
                engine_options=_ENGINE,
            )
            self._writers = self._postgresql.engine
            # The same connections, without the round trips of BEGIN and ROLLBACK.
            self._readers = self._writers.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction, committed on leaving; raises DatabaseUnavailableError."""
        async with self._place(), self._write() as connection:
            yield connection

    @asynccontextmanager
    async def _write(self) -> AsyncGenerator[AsyncConnection]:
        with _translated():
            async with self._writers.begin() as connection:
                if start := self._postgresql and self._postgresql.transaction_start:
                    await connection.exec_driver_sql(start)
                yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction for a single statement; raises DatabaseUnavailableError.

        On PostgreSQL that is one round trip, where BEGIN and COMMIT make three of it.
        """
        async with self._place(), self._statement() as connection:
            yield connection

    @asynccontextmanager
    async def _statement(self) -> AsyncGenerator[AsyncConnection]:
        needs_begin = self.has_one_writer or self._is_pooled
        async with self._write() if needs_begin else self._read() as connection:
            yield connection

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """The rows of a statement in PostgreSQL's words, which is a transaction of its own.

        Beneath SQLAlchemy, for what every task goes through. Raises DatabaseUnavailableError,
        StatementRefusedError.
        """
        assert self._postgresql is not None
        async with self._place():
            with _translated():
                return await self._postgresql.fetch(statement, arguments)

    @property
    def _is_pooled(self) -> bool:
        return self._postgresql is not None and self._postgresql.is_pooled

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A connection to read from; raises DatabaseUnavailableError."""
        async with self._place(), self._read() as connection:
            yield connection

    @asynccontextmanager
    async def _read(self) -> AsyncGenerator[AsyncConnection]:
        with _translated():
            async with self._readers.connect() as connection:
                yield connection

    @asynccontextmanager
    async def read_long(self, *, seconds: float) -> AsyncGenerator[AsyncConnection]:
        """A connection for a read that may be dear: few have one, and each so long at most.

        Raises ReadTooLongError, also where no such connection came free; DatabaseUnavailableError.
        """
        ends = asyncio.get_running_loop().time() + seconds
        limit = asyncio.timeout_at(ends)
        try:
            async with limit, self._long_reads, self.read() as connection:
                raw: Any = await connection.get_raw_connection()
                with self._interrupted(raw.driver_connection, at=ends - INTERRUPT_BEFORE_SECONDS):
                    yield connection
        except TimeoutError as error:
            if limit.expired():
                raise ReadTooLongError from error
            raise

    @contextmanager
    def _interrupted(self, driver: Any, *, at: float) -> Generator[None]:
        """Let SQLite end by itself: cancelling waits for its thread, however long that takes."""
        if not self.has_one_writer:
            yield
            return
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            nonlocal timer
            driver._conn.interrupt()  # noqa: SLF001
            # Again: the statement may not have begun.
            timer = loop.call_later(INTERRUPT_BEFORE_SECONDS, interrupt)

        timer = loop.call_at(at, interrupt)
        try:
            yield
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise ReadTooLongError from error
            raise
        finally:
            timer.cancel()

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None]:
        """One of the connections that callers have among them; raises DatabaseUnavailableError."""
        with _translated():
            async with asyncio.timeout(CONNECT_SECONDS if self._places.locked() else None):
                await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    async def ping(self) -> None:
        """A write that changes nothing; raises DatabaseUnavailableError.

        A server that answers is no use where it has turned read-only or lets us write no task.
        """
        try:
            with _translated():
                async with asyncio.timeout(CONNECT_SECONDS), self._statement() as connection:
                    await connection.execute(_WRITES_NOTHING)
        except DBAPIError as error:
            raise DatabaseUnavailableError(
                "The task database lets no task be written.", reason=words_of(error)
            ) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.dispose()
        await self._writers.dispose()


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


def _sqlite_engine(url: URL, *, connections: int) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
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
        raise DatabaseUnavailableError(reason=words_of(error)) from error
    except DBAPIError as error:
        sqlstate: str | None = getattr(error.orig, "sqlstate", None)
        if unavailable := _unavailable(sqlstate, words_of(error)):
            raise unavailable from error
        # An internal error that is not the server's is asyncpg's own: the server ended the
        # connection while a statement was on its way.
        is_ended = sqlstate is None and isinstance(error, InternalError)
        if not is_ended and not error.connection_invalidated:
            raise
        raise DatabaseUnavailableError(reason=words_of(error)) from error
    except asyncpg.PostgresError as error:
        if unavailable := _unavailable(error.sqlstate, str(error)):
            raise unavailable from error
        # Its own text may quote what callers have sent, and so may a traceback that has it.
        raise StatementRefusedError(type(error).__name__, error.sqlstate) from None
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # asyncpg's own word, which SQLAlchemy passes on as it is: the server ended the connection
        # while a statement was on its way.
        raise DatabaseUnavailableError(reason=error) from error
    except (OSError, PoolTimeoutError) as error:  # TimeoutError is an OSError
        reason = ALL_IN_USE if isinstance(error, PoolTimeoutError) else error
        raise DatabaseUnavailableError(reason=reason) from error


def words_of(error: DBAPIError) -> str:
    """What the database said, without the names of Python's classes."""
    return str(getattr(error.orig, "__cause__", None) or error.orig)


def _unavailable(sqlstate: str | None, words: str) -> DatabaseUnavailableError | None:
    """What PostgreSQL means by an answer, where it serves no statement now."""
    if sqlstate in LOST_STATEMENT:
        return DatabaseUnavailableError(
            "The pooler before the task database loses prepared statements.",
            reason=f"{words}; in transaction mode PgBouncer must be 1.24 or later",
        )
    if sqlstate is not None and sqlstate.startswith(UNAVAILABLE_SQLSTATES):
        return DatabaseUnavailableError(reason=words)
    return None
