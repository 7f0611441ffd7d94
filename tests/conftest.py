"""What integration tests stand on: real servers, and a database and a queue prefix for each test.

Nothing starts before a test asks for it, so unit tests pay nothing. All fixtures here are plain
functions, so that tests with and without a loop share them.
"""

import asyncio
import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from asynctestkit.servers import GivenServer, PostgresqlServer, RabbitmqServer
from asynctestkit.sql import new_database

pytest_plugins = ["asynctestkit.keeping"]


@pytest.fixture(scope="module", autouse=True)
def _without_old_garbage() -> None:
    """Let the collector look no more at what earlier modules have left.

    That comes to millions of objects, and looking at them all holds the event loop for seconds, in
    which the services under test miss their own deadlines.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer | GivenServer]:
    """Shared by all tests: one that stops or kills a server starts its own."""
    with _given("TEST_DATABASE_URL") or PostgresqlServer() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitmqServer | GivenServer]:
    """Shared by all tests: one that stops or kills a server starts its own."""
    with _given("TEST_BROKER_URL") or RabbitmqServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty, migrated database for this test alone; the test runs once for each kind."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def postgresql_url(
    postgresql_server: PostgresqlServer | GivenServer, postgresql_template: str
) -> Iterator[str]:
    """An empty, migrated PostgreSQL database for this test alone."""
    with new_database(postgresql_server.url, template=postgresql_template) as url:
        yield url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """An empty, migrated SQLite database for this test alone."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'tasks.db')}"


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: PostgresqlServer | GivenServer) -> Iterator[str]:
    """The name of the database that each test's is a copy of: copying is faster than migrating."""
    with new_database(postgresql_server.url) as url:
        _migrate(url)
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that each test's database is a copy of."""
    path = tmp_path_factory.mktemp("sqlite-template") / "tasks.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def amqp_url(rabbitmq_server: RabbitmqServer | GivenServer) -> str:
    """The broker all tests share: name queues with `queue_prefix`."""
    return rabbitmq_server.url


@pytest.fixture
def queue_prefix(module_queue_prefix: str) -> str:
    """What the names of this test's queues begin with. They are deleted after its module.

    On a broker given by its URL they stay: AMQP cannot list queues.
    """
    return f"{module_queue_prefix}{uuid4().hex[:8]}-"


@pytest.fixture(scope="module")
def module_queue_prefix(rabbitmq_server: RabbitmqServer | GivenServer) -> Iterator[str]:
    """Deletes a whole module's queues in one call, because a call takes 0.3 s."""
    prefix = f"test-{uuid4().hex[:8]}-"
    yield prefix
    if isinstance(rabbitmq_server, RabbitmqServer):
        rabbitmq_server.delete_queues(prefix=prefix)


def _given(variable: str) -> GivenServer | None:
    url = os.environ.get(variable)
    return GivenServer(url, variable=variable) if url else None


def _migrate(url: str) -> None:
    # Imported here because unit tests need no database.
    from asynctasks.migration import migrate  # noqa: PLC0415

    asyncio.run(migrate(url))
