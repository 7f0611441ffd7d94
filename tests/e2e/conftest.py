"""What whole-system tests stand on: processes that end with their test, an empty database."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from keeping import (  # noqa: F401 - pytest finds them by their names
    keep,
    keep_in_module,
    pytest_runtest_makereport,
)
from servers import GivenServer, PostgresqlServer


@pytest.fixture(scope="module")
def empty_database_url(postgresql_server: PostgresqlServer | GivenServer) -> Iterator[str]:
    """An empty PostgreSQL database for a module: it is for `asyncapiproxy migrate` to fill."""
    name = f"test_{uuid4().hex}"
    asyncio.run(_execute(postgresql_server.url, f'CREATE DATABASE "{name}"'))
    yield urlsplit(postgresql_server.url)._replace(path=f"/{name}").geturl()
    asyncio.run(_execute(postgresql_server.url, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
