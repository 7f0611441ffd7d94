"""Bringing the task database to this version's schema, and telling whether it is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from asynctasks.database import Database
from asynctasks.errors import SchemaOutdatedError

if TYPE_CHECKING:
    from sqlalchemy import Connection

ADVISORY_LOCK = 0x6173_796E_6361_7069
"""The key of PostgreSQL's advisory lock under which migrations run."""


async def migrate(database_url: str) -> str:
    """Create or upgrade the schema and return its revision.

    Safe to call from many processes at once: one migrates, the others wait and find it done.
    """
    # A large table's migration takes its time, and so does waiting for another process's.
    database = Database(database_url, statement_seconds=None)
    try:
        async with database.write() as connection:
            if database.dialect == "postgresql":
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}
                )
            await connection.run_sync(_upgrade)
            return await connection.run_sync(_revision) or ""
    finally:
        await database.close()


async def check_schema(database: Database) -> None:
    """Raise SchemaOutdatedError where the database lacks a migration of this version.

    A revision that we do not know is a newer version's, which keeps the schema fit for us.
    """
    async with database.read() as connection:
        revision = await connection.run_sync(_revision)
    scripts = ScriptDirectory.from_config(_config())
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is None or (revision in known and revision != scripts.get_current_head()):
        raise SchemaOutdatedError(
            f"The task database is at revision {revision or 'none'}, and this version needs "
            f"{scripts.get_current_head()}: run `asyncapiproxy migrate`."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _literal(Path(__file__).parent / "migrations"))
    return config


def _literal(path: Path) -> str:
    """The path for a config parser, to which % is special."""
    return str(path).replace("%", "%%")


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
