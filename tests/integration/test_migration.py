"""The schema on both databases: from nothing, by many at once, there and back, without drift."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

import asynctasks.database
import asynctasks.migration
from asynctasks.database import Database
from asynctasks.errors import (
    DatabaseUnavailableError,
    SchemaNotOursError,
    SchemaNotWritableError,
    SchemaOutdatedError,
)
from asynctasks.migration import _config, check_schema, migrate, migrate_when_there
from asynctasks.migrations.tables import TABLES, VERSION_TABLE
from asynctestkit.ports import free_port
from asynctestkit.processes import COMMAND
from asynctestkit.servers import PostgresqlServer


@pytest.fixture
async def empty_url(database_url: str) -> str:
    """A database without any table."""
    database = Database(database_url)
    async with database.write() as connection:
        await connection.run_sync(_drop_all)
    await database.close()
    return database_url


def _drop_all(connection: Connection) -> None:
    for table in inspect(connection).get_table_names():
        connection.execute(text(f'DROP TABLE "{table}"'))


async def with_connection(url: str, work: Any) -> Any:
    database = Database(url)
    try:
        async with database.write() as connection:
            return await connection.run_sync(work)
    finally:
        await database.close()


def schema(connection: Connection) -> dict[str, Any]:
    """Tables, columns and indexes as the database knows them, the conditions of partial ones too.

    SQLite and PostgreSQL each keep an index's definition as text.
    """
    inspector = inspect(connection)
    statement = (
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        if connection.dialect.name == "postgresql"
        else "SELECT name, sql FROM sqlite_master WHERE type = 'index'"
    )
    return {
        "columns": {
            table: {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(table)
            }
            for table in inspector.get_table_names()
        },
        "indexes": {row[0]: row[1] for row in connection.execute(text(statement))},
    }


async def test_an_empty_database_gets_the_schema_and_a_second_time_changes_nothing(empty_url: str):
    head = await migrate(empty_url)
    first = await with_connection(empty_url, schema)
    assert "tasks" in first["columns"]
    assert await migrate(empty_url) == head
    assert await with_connection(empty_url, schema) == first
    await check(empty_url)


def _is_compared(_: Any, name: str | None, *__: Any) -> bool:
    """Not indexes of expressions: on SQLite Alembic cannot compare them."""
    return name not in {"ix_tasks_labels", "ix_tasks_error_type"}


async def test_models_and_migrations_do_not_drift(empty_url: str):
    await migrate(empty_url)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "version_table": VERSION_TABLE,
                "include_object": _is_compared,
            },
        )
        return compare_metadata(context, TABLES[0].metadata)

    assert await with_connection(empty_url, differences) == []


async def test_the_models_own_tables_have_the_very_indexes_of_the_migrations(empty_url: str):
    """Alembic compares the columns of indexes, not the conditions of partial ones."""
    await migrate(empty_url)
    migrated = await with_connection(empty_url, schema)

    def recreate(connection: Connection) -> dict[str, Any]:
        _drop_all(connection)
        TABLES[0].metadata.create_all(connection)
        return schema(connection)

    modelled = await with_connection(empty_url, recreate)
    for one in (migrated, modelled):
        one["columns"].pop("asyncapiproxy_schema_version", None)
        one["indexes"] = {
            name: definition and " ".join(definition.split())
            for name, definition in one["indexes"].items()
            if "asyncapiproxy_schema_version" not in name
        }
    assert modelled == migrated
    conditions = [sql for sql in migrated["indexes"].values() if sql and "WHERE" in sql]
    assert len(conditions) >= 5


FOUR_MIGRATIONS = """
import asyncio, sys
from asynctasks.migration import migrate
async def main():
    print(set(await asyncio.gather(*(migrate(sys.argv[1]) for _ in range(4)))))
asyncio.run(main())
"""


async def test_two_processes_may_migrate_four_times_each_at_once(empty_url: str):
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", FOUR_MIGRATIONS, empty_url, stdout=-1, stderr=-1
        )
        for _ in range(2)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len({output for output, _ in outputs}) == 1
    await check(empty_url)


async def test_the_schema_can_be_taken_back_and_made_again(empty_url: str):
    await migrate(empty_url)
    before = await with_connection(empty_url, schema)
    await with_connection(empty_url, downgrade)
    assert list((await with_connection(empty_url, schema))["columns"]) == [
        "asyncapiproxy_schema_version"
    ]
    await migrate(empty_url)
    assert await with_connection(empty_url, schema) == before


def downgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.downgrade(config, "base")


async def check(url: str) -> None:
    database = Database(url)
    try:
        await check_schema(database)
    finally:
        await database.close()


async def test_a_database_without_a_schema_is_outdated_and_the_error_says_what_to_do(
    empty_url: str,
):
    with pytest.raises(SchemaOutdatedError, match=r"revision none.*asyncapiproxy migrate"):
        await check(empty_url)


async def test_a_database_at_an_earlier_revision_is_outdated(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A later version of ours is one with a migration more; its path holds a percent sign."""
    package = tmp_path / "100%" / "migrations"
    (package / "versions").mkdir(parents=True)
    ours = Path(asynctasks.migration.__file__).parent / "migrations"
    head = await migrate(database_url)
    for path in [Path("env.py"), *(p.relative_to(ours) for p in ours.glob("versions/0*.py"))]:
        (package / path).write_text((ours / path).read_text())
    (package / "versions" / "9999_later.py").write_text(
        f"revision = '9999'\ndown_revision = {head!r}\ndef upgrade(): pass\ndef downgrade(): pass\n"
    )
    monkeypatch.setattr(asynctasks.migration, "__file__", str(package.parent / "migration.py"))
    with pytest.raises(SchemaOutdatedError, match=f"revision {head}.*needs 9999"):
        await check(database_url)
    assert await migrate(database_url) == "9999"
    await check(database_url)


async def test_a_later_versions_database_is_served_and_left_as_it_is(database_url: str):
    def advance(connection: Connection) -> None:
        connection.execute(text("UPDATE asyncapiproxy_schema_version SET version_num = '9999'"))

    await with_connection(database_url, advance)
    await check(database_url)
    assert await migrate(database_url) == "9999"


async def test_a_migration_waits_for_another_longer_than_a_statement_may_take(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asynctasks.database, "STATEMENT_SECONDS", 0.2)
    holder = await asyncpg.connect(postgresql_url)
    await holder.execute("SELECT pg_advisory_lock($1)", asynctasks.migration.ADVISORY_LOCK)
    waiting = asyncio.create_task(migrate(postgresql_url))
    done, _ = await asyncio.wait([waiting], timeout=0.6)
    assert not done
    await holder.close()
    assert await waiting


async def test_a_migration_may_wait_for_a_database_that_starts():
    with PostgresqlServer() as server:
        server.stop()
        waiting = asyncio.create_task(
            migrate_when_there(server.url, wait_seconds=60, stop=asyncio.Event())
        )
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        await asyncio.to_thread(server.start)
        assert await waiting


async def test_a_migration_waits_no_longer_than_it_is_told():
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    with pytest.raises(DatabaseUnavailableError):
        await migrate_when_there(url, wait_seconds=0, stop=asyncio.Event())


async def test_another_applications_revisions_are_none_of_ours(empty_url: str):
    def create(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('9f31abc')"))

    await with_connection(empty_url, create)
    with pytest.raises(SchemaOutdatedError, match="revision none"):
        await check(empty_url)
    await migrate(empty_url)
    await check(empty_url)


@pytest.mark.parametrize("name", ["tasks", "executors"])
async def test_another_applications_table_of_our_name_is_told_and_left_alone(
    empty_url: str, name: str
):
    def create(connection: Connection) -> None:
        connection.execute(text(f"CREATE TABLE {name} (theirs INTEGER)"))

    await with_connection(empty_url, create)
    with pytest.raises(SchemaNotOursError, match=f"a table '{name}' that these migrations"):
        await migrate(empty_url)
    found = await with_connection(empty_url, schema)
    assert list(found["columns"]) == [name]
    assert list(found["columns"][name]) == ["theirs"]


@pytest.fixture
async def limited_url(postgresql_url: str) -> AsyncIterator[str]:
    """An empty database whose user may make no table: PostgreSQL's own default since 15."""
    connection = await asyncpg.connect(postgresql_url)
    name = f"limited_{uuid4().hex}"
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    await connection.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
    server = urlsplit(postgresql_url)
    yield server._replace(netloc=f"{name}:{PASSWORD}@{server.hostname}:{server.port}").geturl()
    await connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    await connection.close()


PASSWORD = "s3cr3t-Zaphod"


async def test_a_schema_that_may_not_be_written_is_told_in_one_sentence(limited_url: str):
    with pytest.raises(SchemaNotWritableError, match="permission denied for schema public"):
        await migrate(limited_url)


@pytest.mark.parametrize(
    ("url", "exit_code", "told"),
    [
        ("limited", 1, "No table can be made in the task database: permission denied"),
        (f"postgresql://ann:{PASSWORD}@127.0.0.1:1/tasks", 1, "The task database does not answer"),
        (f"postgresql://ann:{PASSWORD}@db:x/tasks", 2, "DATABASE_URL: has a port that is no"),
        (f"postgresql://ann:{PASSWORD}@db/tasks?pool=5", 2, "has the parameter 'pool'"),
        ("", 2, "ASYNCAPIPROXY_DATABASE_URL: is no URL"),
    ],
)
async def test_the_command_tells_what_is_wrong_in_a_line_and_never_the_password(
    limited_url: str, url: str, exit_code: int, told: str
):
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "migrate",
        env={"ASYNCAPIPROXY_DATABASE_URL": limited_url if url == "limited" else url},
        stdout=-1,
        stderr=-1,
    )
    output = b"".join(await process.communicate()).decode()
    assert process.returncode == exit_code
    assert told in output
    assert len(output.splitlines()) == 1
    assert PASSWORD not in output
