"""Connections to PostgreSQL: what each is told, which are given up, and poolers in between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from asynctasks.database_url import postgresql_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import URL, ExceptionContext

CONNECT_SECONDS = 5
IDLE_SECONDS = 5
"""How long PostgreSQL keeps the transaction of a process that has gone silent in its midst.

One that is stopped, or cut off, would hold its rows, and all who wait for them, as long as it is.
"""
WRONG_SERVER = ("25006", "57P0")
"""This server is read-only since a failover, or is shutting down: another may be the one by now."""
LEAVE_SECONDS = 2.0
"""How often one is left at most: while it is still where the name leads, each new connection meets
it again, and all services would spend their time, and its own, on connecting.
"""

log = structlog.get_logger(__name__)


class Postgresql:
    """A pool of connections, each told once how our transactions are to be.

    A pooler in between (PgBouncer) refuses that, since its connections to the server are shared.
    Then each transaction is told by itself, and `is_pooled` is True.
    """

    def __init__(
        self,
        url: URL,
        *,
        connections: int,
        statement_seconds: float | None,
        engine_options: dict[str, Any],
    ) -> None:
        self._arguments: dict[str, Any] = {
            "timeout": CONNECT_SECONDS,
            "command_timeout": statement_seconds,
            **postgresql_arguments(url),
        }
        # Whatever the role's default: a stricter level fails writers that only met each other.
        self._session = {"default_transaction_isolation": "read committed"}
        self._told_each_transaction: str | None = None
        if statement_seconds is not None:
            self._session["idle_in_transaction_session_timeout"] = f"{IDLE_SECONDS}s"
            self._told_each_transaction = (
                f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
            )
        self._left_at = -LEAVE_SECONDS
        self.is_pooled = False
        self.engine = self._engine(connections, engine_options)

    @property
    def transaction_start(self) -> str | None:
        """The statement that each transaction has to begin with; None where it needs none."""
        return self._told_each_transaction if self.is_pooled else None

    async def fetch(self, statement: str, arguments: Sequence[Any]) -> list[Any]:
        """The rows of a statement that is a transaction of its own, by asyncpg itself.

        On a connection of the same pool; raises what asyncpg raises.
        """
        pooled = await self._pooled()
        try:
            return await self._rows(pooled.driver_connection, statement, arguments)
        except asyncpg.PostgresError as error:
            if self._is_to_be_left(error):
                # This connection now, the pool's others before they are used again.
                pool: Any = self.engine.pool
                pool._invalidate(pooled, error)  # noqa: SLF001
            raise
        except BaseException:
            # Cancelled, late or cut off: something of it may still be on its way.
            pooled.invalidate()
            raise
        finally:
            pooled.close()

    async def _pooled(self) -> Any:
        try:
            return await self.engine.raw_connection()
        except self.engine.dialect.loaded_dbapi.Error as error:
            # A connection that could not be made; asyncpg's own word is the cause.
            raise error.__cause__ or error from None

    async def _rows(self, connection: Any, statement: str, arguments: Sequence[Any]) -> list[Any]:
        if not self.is_pooled:
            return await connection.fetch(statement, *arguments)
        async with connection.transaction(isolation="read_committed"):
            if self._told_each_transaction:
                await connection.execute(self._told_each_transaction)
            return await connection.fetch(statement, *arguments)

    def _engine(self, connections: int, options: dict[str, Any]) -> AsyncEngine:
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            isolation_level="READ COMMITTED",
            pool_size=connections,
            max_overflow=0,
            pool_timeout=CONNECT_SECONDS,
            **options,
        )
        event.listen(engine.sync_engine, "checkout", _replace_closed)
        event.listen(engine.sync_engine, "handle_error", self._leave_wrong_server)
        return engine

    async def _connect(self) -> Any:
        arguments = dict(self._arguments)
        asked: dict[str, str] = arguments.pop("server_settings")
        if not self.is_pooled:
            try:
                return await asyncpg.connect(**arguments, server_settings=self._session | asked)
            except asyncpg.ProtocolViolationError as error:
                if "startup parameter" not in str(error):
                    raise
        connection: Any = await asyncpg.connect(**arguments, server_settings=asked)
        if not self.is_pooled:
            self.is_pooled = True
            log.info("the task database is behind a pooler: each transaction is told by itself")
        return connection

    def _leave_wrong_server(self, context: ExceptionContext) -> None:
        """Give this connection up, and the pool's others before they are used again."""
        if self._is_to_be_left(context.original_exception):
            context.is_disconnect = True

    def _is_to_be_left(self, error: BaseException) -> bool:
        sqlstate: str | None = getattr(error, "sqlstate", None)
        if sqlstate is None or not sqlstate.startswith(WRONG_SERVER):
            return False
        now = time.monotonic()
        if now < self._left_at + LEAVE_SECONDS:
            return False
        self._left_at = now
        return True


def _replace_closed(dbapi_connection: Any, *_: Any) -> None:
    # asyncpg has seen the server go; asking it costs no round trip, unlike pool_pre_ping.
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError
