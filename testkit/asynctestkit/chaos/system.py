"""What is broken: an installation of two proxies and three executors, and a neighbour of theirs."""

import asyncio
import json
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import asyncpg

from asynctestkit.chaos.supervised import Supervised
from asynctestkit.processes import Installation
from asynctestkit.servers import PostgresqlServer, RabbitmqServer

PROXIES = ("proxy-1", "proxy-2")
EXECUTORS = ("executor-1", "executor-2", "executor-3")
DEMO_API = "demo-api"
PREFIX = "chaos"
NEIGHBOUR = "neighbour"
NEIGHBOUR_PROXY = "neighbour-proxy"
NEIGHBOUR_EXECUTOR = "neighbour-executor"
SETTINGS = {
    "lease_seconds": 5,
    "drain_seconds": 3,
    "publish_grace_seconds": 5,
    "max_interruptions": 20,
    "max_response_bytes": 2_000_000,
}
"""Times so short that each of them ends between two faults."""


class System:
    """Starts all with `with` and leaves nothing running. Use it from one thread that stays.

    The processes end with the thread that started them (Linux's parent death signal).
    """

    def __init__(self, folder: Path) -> None:
        self.postgresql = PostgresqlServer()
        self.rabbitmq = RabbitmqServer()
        self.installation = self._installation(folder, self.postgresql.url, PREFIX)
        self.neighbour_url = urlsplit(self.postgresql.url)._replace(path=NEIGHBOUR).geturl()
        self.neighbour = self._installation(
            folder / NEIGHBOUR, self.neighbour_url, NEIGHBOUR, demo_url=self.installation.demo_url
        )
        self.services = {service.name: service for service in self._services()}

    def __enter__(self) -> Self:
        try:
            self.postgresql.start()
            self.rabbitmq.start()
            asyncio.run(_create_database(self.postgresql.url))
            self.installation.migrate()
            self.neighbour.migrate()
            for service in self.services.values():
                service.start()
            for service in self.services.values():
                service.process.wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for service in self.services.values():
            service.kill()
        self.rabbitmq.close()
        self.postgresql.close()

    def url(self, name: str) -> str:
        return self.services[name].process.url

    def queue_lengths(self) -> dict[str, int]:
        """Messages on each of the broker's queues, those in an executor's hands among them."""
        listed = self.rabbitmq.ctl("list_queues", "--formatter", "json", "name", "messages")
        return {queue["name"]: queue["messages"] for queue in json.loads(listed)}

    @property
    def customers(self) -> Path:
        """The database of the demo Customer API."""
        return self.installation.demo_data / "customers.db"

    def _installation(
        self, folder: Path, database_url: str, prefix: str, *, demo_url: str = ""
    ) -> Installation:
        return Installation(
            folder,
            database_url=database_url,
            broker_url=self.rabbitmq.url,
            broker_prefix=prefix,
            operations=Path(__file__).with_name("operations.yaml").read_text(),
            settings=SETTINGS,
            environment={"CUSTOMER_API_URL": demo_url} if demo_url else {},
        )

    def _services(self) -> list[Supervised]:
        install, neighbour = self.installation, self.neighbour
        return [
            Supervised(install.demo_api(DEMO_API), sign="demo Customer API listens"),
            *(Supervised(install.proxy(name), sign="proxy listens") for name in PROXIES),
            *(Supervised(install.executor(name), sign="executor consumes") for name in EXECUTORS),
            Supervised(neighbour.proxy(NEIGHBOUR_PROXY), sign="proxy listens"),
            Supervised(neighbour.executor(NEIGHBOUR_EXECUTOR), sign="executor consumes"),
        ]


async def _create_database(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {NEIGHBOUR}")
    finally:
        await connection.close()
