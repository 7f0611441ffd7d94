"""What whole-system tests stand on: processes that end with their test, an empty database."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from asynctestkit.processes import FAST_OPERATIONS, Installation
from asynctestkit.servers import GivenServer, PostgresqlServer, RabbitmqServer
from asynctestkit.sql import new_database


@pytest.fixture
def install(
    tmp_path: Path,
    postgresql_url: str,
    rabbitmq_server: RabbitmqServer | GivenServer,
    queue_prefix: str,
) -> Callable[..., Installation]:
    """An installation of one test on PostgreSQL and RabbitMQ."""

    def install(
        operations: str = FAST_OPERATIONS,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Installation:
        return Installation(
            tmp_path,
            database_url=postgresql_url,
            broker_url=rabbitmq_server.url,
            broker_prefix=f"{queue_prefix}e2e",
            operations=operations,
            environment=environment,
            settings=settings,
        )

    return install


@pytest.fixture(scope="module")
def empty_database_url(postgresql_server: PostgresqlServer | GivenServer) -> Iterator[str]:
    """An empty PostgreSQL database for a module: it is for `asyncapiproxy migrate` to fill."""
    with new_database(postgresql_server.url) as url:
        yield url
