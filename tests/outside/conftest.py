"""What these tests stand on: two proxies of one installation, which all of them share."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from asynctestkit.processes import Installation, Keep, Service, start_all
from asynctestkit.servers import GivenServer, PostgresqlServer, RabbitmqServer
from asynctestkit.sql import new_database


@dataclass(frozen=True)
class Running:
    installation: Installation
    first: Service
    second: Service

    @property
    def urls(self) -> tuple[str, str]:
        return (self.first.url, self.second.url)


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    postgresql_server: PostgresqlServer | GivenServer,
    rabbitmq_server: RabbitmqServer | GivenServer,
    keep_in_session: Keep,
) -> Iterator[Running]:
    with new_database(postgresql_server.url) as database_url:
        installation = Installation(
            tmp_path_factory.mktemp("outside"),
            database_url=database_url,
            broker_url=rabbitmq_server.url,
            broker_prefix=f"test-outside-{uuid4().hex[:8]}",
        )
        installation.migrate()
        running = Running(installation, installation.proxy("first"), installation.proxy("second"))
        others = (installation.executor(), installation.demo_api())
        start_all(keep_in_session, running.first, running.second, *others)
        yield running
