"""PostgreSQL as it is met: other defaults, a private CA, a failover, a pooler in between."""

import asyncio
import datetime as dt
import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from asynctasks import postgresql
from asynctasks.database import Database
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.migration import migrate
from asynctestkit.eventually import eventually
from asynctestkit.pgbouncer import PgbouncerServer
from asynctestkit.servers import PostgresqlServer
from asynctestkit.servers.postgresql import unprivileged_user

SILENCE = "SHOW idle_in_transaction_session_timeout"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    """Private, because tests here reconfigure it."""
    with PostgresqlServer() as server:
        asyncio.run(migrate(server.url))
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[PostgresqlServer]:
    with PostgresqlServer() as server:
        asyncio.run(migrate(server.url))
        yield server


@asynccontextmanager
async def opened(url: str, *, connections: int = 10) -> AsyncGenerator[Database]:
    database = Database(url, connections=connections)
    try:
        yield database
    finally:
        await database.close()


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def configure(server: PostgresqlServer, **settings: str) -> None:
    commands = [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in settings.items()]
    await execute(server.url, *commands, "SELECT pg_reload_conf()")


async def scalar(database: Database, statement: str) -> str:
    async with database.read() as connection:
        return str((await connection.execute(text(statement))).scalar_one())


async def scalar_of_a_write(database: Database, statement: str) -> str:
    async with database.write() as connection:
        return str((await connection.execute(text(statement))).scalar_one())


async def scalar_of_a_statement(database: Database, statement: str) -> str:
    async with database.statement() as connection:
        return str((await connection.execute(text(statement))).scalar_one())


async def scalar_of_a_fetch(database: Database, statement: str) -> str:
    (row,) = await database.fetch(statement)
    return str(row[0])


async def write_nothing(database: Database) -> None:
    await database.fetch("UPDATE tasks SET version = version WHERE 1 = 0")


async def answer_of(writing: Awaitable[None]) -> str:
    try:
        await writing
    except DatabaseUnavailableError as error:
        return str(error)
    return "it can be written"


def port(server: PostgresqlServer) -> int:
    return urlsplit(server.url).port or 0


async def test_writers_are_read_committed_whatever_the_roles_default(server: PostgresqlServer):
    await execute(
        server.url,
        "DROP ROLE IF EXISTS strict",
        "CREATE ROLE strict LOGIN SUPERUSER",
        "ALTER ROLE strict SET default_transaction_isolation = 'repeatable read'",
    )
    async with opened(server.url.replace("tests@", "strict@")) as database:
        shown = "SHOW transaction_isolation"
        assert await scalar_of_a_write(database, shown) == "read committed"
        assert await scalar_of_a_statement(database, shown) == "read committed"
        assert await scalar_of_a_fetch(database, shown) == "read committed"


async def test_the_server_is_told_what_the_url_says(server: PostgresqlServer):
    query = "?application_name=orders&connect_timeout=3&options=-c%20work_mem%3D5MB"
    async with opened(server.url + query) as database:
        assert await scalar(database, "SHOW application_name") == "orders"
        assert await scalar(database, "SHOW work_mem") == "5MB"


@asynccontextmanager
async def read_only(server: PostgresqlServer) -> AsyncGenerator[None]:
    await configure(server, default_transaction_read_only="on")
    try:
        yield
    finally:
        await execute(
            server.url,
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )


@pytest.mark.parametrize("write", [Database.ping, write_nothing])
async def test_a_database_that_has_turned_read_only_is_left_for_the_other(
    server: PostgresqlServer,
    other: PostgresqlServer,
    write: Callable[[Database], Coroutine[Any, Any, None]],
):
    hosts = f"127.0.0.1:{port(server)},127.0.0.1:{port(other)}"
    url = f"postgresql://tests@{hosts}/postgres?target_session_attrs=read-write"
    where = "SELECT current_setting('port')"
    async with opened(url, connections=3) as database:
        assert await scalar(database, where) == str(port(server))
        await asyncio.gather(*(scalar(database, "SELECT pg_sleep(0.1)") for _ in range(3)))
        async with read_only(server):

            async def is_noticed() -> None:
                assert "read-only" in await answer_of(write(database))

            await eventually(is_noticed)
            await write(database)
            found = await asyncio.gather(*(scalar(database, where) for _ in range(3)))
            assert set(found) == {str(port(other))}


@pytest.mark.parametrize("write", [Database.ping, write_nothing])
async def test_one_that_has_turned_read_only_and_is_still_the_one_is_seldom_left(
    server: PostgresqlServer,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Database], Coroutine[Any, Any, None]],
):
    async with opened(server.url, connections=1) as database, read_only(server):

        async def refused_by() -> str:
            assert "read-only" in await answer_of(write(database))
            return await scalar(database, "SELECT pg_backend_pid()")

        await eventually(refused_by)
        # One connection for callers, one for pings, each of them anew at most once.
        assert len({await refused_by() for _ in range(20)}) <= 2
        monkeypatch.setattr(postgresql, "LEAVE_SECONDS", 0)
        assert len({await refused_by() for _ in range(5)}) == 5


async def test_a_database_in_which_no_task_may_be_written_is_not_ready(server: PostgresqlServer):
    await execute(
        server.url,
        "DROP ROLE IF EXISTS onlooker",
        "CREATE ROLE onlooker LOGIN",
        "GRANT SELECT ON tasks TO onlooker",
    )
    async with opened(server.url.replace("tests@", "onlooker@")) as database:
        assert await scalar(database, "SELECT count(*) FROM tasks") == "0"
        with pytest.raises(DatabaseUnavailableError) as caught:
            await database.ping()
    assert caught.value.public == "The task database lets no task be written."
    assert "permission denied" in str(caught.value)


async def test_what_may_be_told_of_a_database_that_is_away_names_neither_host_nor_role():
    async with opened("postgresql://secret_role@127.0.0.1:1/secret_name") as database:
        with pytest.raises(DatabaseUnavailableError) as caught:
            await database.ping()
    assert caught.value.public == "The task database does not answer."
    assert "127.0.0.1" in str(caught.value)


def certificate(
    name: str, folder: Path, *, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    """Writes NAME.crt and NAME.key; signed by itself where no issuer is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (subject, key)
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return subject, key


def give_to_postgresql(folder: Path, *, key: Path) -> None:
    """It runs as another user than root, and refuses a key that others may read."""
    key.chmod(0o600)
    if user := unprivileged_user():
        os.chown(key, user.pw_uid, user.pw_gid)
        while folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
            folder = folder.parent


async def test_a_private_ca_is_trusted_where_the_url_names_it_and_no_other(
    server: PostgresqlServer, tmp_path: Path
):
    certificate("server", tmp_path, issuer=certificate("authority", tmp_path))
    certificate("stranger", tmp_path)
    give_to_postgresql(tmp_path, key=tmp_path / "server.key")
    names = {name: f"{tmp_path}/server.{name}" for name in ("crt", "key")}
    await configure(server, ssl_cert_file=names["crt"], ssl_key_file=names["key"], ssl="on")
    try:
        url = f"postgresql://tests@localhost:{port(server)}/postgres?sslmode=verify-full"
        trusting = f"{url}&sslrootcert={tmp_path}/authority.crt"

        async def is_encrypted() -> None:
            async with opened(trusting) as database:
                ours = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                assert await scalar(database, ours) == "True"

        await eventually(is_encrypted)
        async with opened(f"{url}&sslrootcert={tmp_path}/stranger.crt") as database:
            with pytest.raises(DatabaseUnavailableError, match="certificate verify failed"):
                await database.ping()
    finally:
        await configure(server, ssl="off")


async def test_behind_pgbouncer_in_session_mode_all_is_as_without(server: PostgresqlServer):
    await execute(server.url, "ALTER ROLE tests SET default_transaction_isolation = serializable")
    try:
        with PgbouncerServer(server, mode="session") as pooler:
            await migrate(pooler.url)
            async with opened(pooler.url, connections=5) as database:
                await asyncio.gather(*(database.ping() for _ in range(20)))
                assert await scalar_of_a_write(database, SILENCE) == "5s"
                shown = "SHOW transaction_isolation"
                assert await scalar_of_a_write(database, shown) == "read committed"
                assert await scalar_of_a_statement(database, shown) == "read committed"
                assert await scalar_of_a_fetch(database, shown) == "read committed"
    finally:
        await execute(server.url, "ALTER ROLE tests RESET default_transaction_isolation")


async def test_nothing_of_ours_stays_on_connections_that_a_pooler_gives_to_others(
    server: PostgresqlServer,
):
    with PgbouncerServer(server, mode="transaction", server_connections=1) as pooler:
        async with opened(pooler.url, connections=1) as database:
            await database.ping()
            assert await scalar_of_a_write(database, SILENCE) == "5s"
            assert await scalar_of_a_fetch(database, SILENCE) == "5s"
            shown = "SHOW transaction_isolation"
            assert await scalar_of_a_fetch(database, shown) == "read committed"
            before = await scalar_of_a_write(database, "SELECT pg_backend_pid()")
        another = await asyncpg.connect(pooler.url, statement_cache_size=0)
        try:
            shown, pid = [
                await another.fetchval(statement)
                for statement in (SILENCE, "SELECT pg_backend_pid()")
            ]
        finally:
            await another.close()
    assert str(pid) == before
    assert shown == "0"


@pytest.mark.parametrize("write", [Database.ping, write_nothing])
async def test_a_pooler_that_loses_prepared_statements_is_told_by_what_helps(
    server: PostgresqlServer, write: Callable[[Database], Coroutine[Any, Any, None]]
):
    """PgBouncer before 1.21 in transaction mode: another process has used the same names."""
    with PgbouncerServer(
        server, mode="transaction", server_connections=1, keeps_statements=False
    ) as pooler:
        squatter = await asyncpg.connect(pooler.url, statement_cache_size=0)
        # It numbers its statements over the whole process, whatever ran before this test.
        used: int = vars(asyncpg.connection)["_uid"]
        for number in range(used, used + 200):
            await squatter.execute(f"PREPARE __asyncpg_stmt_{number:x}__ AS SELECT 1")
        await squatter.close()
        async with opened(pooler.url, connections=1) as database:
            with pytest.raises(DatabaseUnavailableError, match=r"PgBouncer must be 1\.24 or later"):
                await write(database)
