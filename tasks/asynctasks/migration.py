"""Bringing the task database to this version's schema, and telling whether it is there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from asynctasks.database import Database, words_of
from asynctasks.errors import (
    DatabaseUnavailableError,
    SchemaNotOursError,
    SchemaNotWritableError,
    SchemaOutdatedError,
)
from asynctasks.migrations.tables import TABLES, VERSION_TABLE
from asynctasks.service_role import admit_services

if TYPE_CHECKING:
    from sqlalchemy import Connection

ADVISORY_LOCK = 0x6173_796E_6361_7069
"""The key of PostgreSQL's advisory lock under which migrations run."""
NOT_WRITABLE_SQLSTATES = ("42501", "3F000")
"""Insufficient privilege; no schema has been selected to create in."""
RETRY_SECONDS = 1.0
"""Between two tries to reach a database that does not answer yet."""

log = structlog.get_logger(__name__)


async def migrate(database_url: str, *, service_url: str | None = None) -> str:
    """Create or upgrade the schema and return its revision.

    With `service_url` services may use it by the role of that URL, which is made if need be.

    Safe to call from many processes at once: one migrates, the others wait and find it done. A
    later version's schema is left: during an upgrade an earlier one's process may start again.

    Raises DatabaseUnavailableError, SchemaNotOursError, SchemaNotWritableError, ServiceRoleError.
    """
    # A large table's migration takes its time, and so does waiting for another process's.
    database = Database(database_url, statement_seconds=None)
    try:
        async with database.write() as connection:
            if database.dialect == "postgresql":
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}
                )
            if not _is_later(await connection.run_sync(_revision)):
                await connection.run_sync(_upgrade)
            if service_url is not None:
                await admit_services(connection, service_url)
            return await connection.run_sync(_revision) or ""
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in NOT_WRITABLE_SQLSTATES:
            raise
        raise SchemaNotWritableError(
            f"No table can be made in the task database: {words_of(error)}. "
            "Its user must own the schema, or have USAGE and CREATE on it."
        ) from error
    finally:
        await database.close()


async def migrate_when_there(
    database_url: str,
    *,
    service_url: str | None = None,
    wait_seconds: float,
    stop: asyncio.Event,
) -> str:
    """The same, of a database that may take some seconds to answer.

    Raises DatabaseUnavailableError after that time, or once `stop` is set.
    """
    deadline = asyncio.get_running_loop().time() + wait_seconds
    while True:
        try:
            return await migrate(database_url, service_url=service_url)
        except DatabaseUnavailableError as error:
            if stop.is_set() or asyncio.get_running_loop().time() > deadline:
                raise
            log.info("waiting for the task database", detail=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), RETRY_SECONDS)


async def check_schema(database: Database) -> None:
    """Raise SchemaOutdatedError where the database lacks a migration of this version.

    A revision that we do not know is a newer version's, which keeps the schema fit for us.
    """
    async with database.read() as connection:
        revision = await connection.run_sync(_revision)
    head = _scripts().get_current_head()
    if revision != head and not _is_later(revision):
        raise SchemaOutdatedError(
            f"The task database is at revision {revision or 'none'}, and this version needs "
            f"{head}: run `asyncapiproxy migrate`."
        )


def _is_later(revision: str | None) -> bool:
    known = {script.revision for script in _scripts().walk_revisions()}
    return revision is not None and revision not in known


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _literal(Path(__file__).parent / "migrations"))
    return config


def _literal(path: Path) -> str:
    """The path for a config parser, to which % is special."""
    return str(path).replace("%", "%%")


def _upgrade(connection: Connection) -> None:
    if _revision(connection) is None:
        _check_nobody_elses(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _check_nobody_elses(connection: Connection) -> None:
    there = inspect(connection)
    for name in (str(table.__tablename__) for table in TABLES):
        if there.has_table(name):
            raise SchemaNotOursError(
                f"The database has a table {name!r} that these migrations have not made: "
                "give AsyncApiProxy a database, or a schema, of its own."
            )
