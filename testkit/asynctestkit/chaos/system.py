"""What is broken: an installation of two proxies and five executors, and a neighbour of theirs."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import asyncpg

from asynctasks.operations import delivery_operation
from asynctestkit.chaos import named_command
from asynctestkit.chaos.receivers import NETWORKS, Receivers
from asynctestkit.chaos.supervised import Supervised
from asynctestkit.chaos.tenants import write_access_file
from asynctestkit.ports import free_port
from asynctestkit.processes import Installation, Service
from asynctestkit.servers import PostgresqlServer, RabbitmqServer

PROXIES = ("proxy-1", "proxy-2")
EXECUTORS = ("executor-1", "executor-2", "executor-3")
DELIVERERS = ("deliverer-1", "deliverer-2")
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
OPERATIONS = Path(__file__).with_name("operations.yaml").read_text()
LATE_EXECUTOR = EXECUTORS[-1]
"""Its operations file changes after the others' has."""


class System:
    """Starts all with `with` and leaves nothing running. Use it from one thread that stays.

    The processes end with the thread that started them (Linux's parent death signal).
    """

    def __init__(self, folder: Path) -> None:
        self.postgresql = PostgresqlServer()
        self.rabbitmq = RabbitmqServer()
        self.orders_port = free_port()
        """Of the upstream of orders, which is none of the processes here."""
        self.receivers = Receivers(folder)
        self.installation = self._installation(
            folder,
            self.postgresql.url,
            PREFIX,
            access_file=write_access_file(folder),
            callback_allow=self.receivers.allowed,
            callback_networks=NETWORKS,
            callback_keys=self.receivers.key,
        )
        self.neighbour_url = urlsplit(self.postgresql.url)._replace(path=NEIGHBOUR).geturl()
        self.neighbour = self._installation(
            folder / NEIGHBOUR, self.neighbour_url, NEIGHBOUR, demo_url=self.installation.demo_url
        )
        self.changes = 0
        self._late_operations = folder / "late-operations.yaml"
        self._late_operations.write_text(OPERATIONS)
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

    def health_url(self, name: str) -> str:
        return self.services[name].process.health_url

    def queue_lengths(self) -> dict[str, int]:
        """Messages on each of the broker's queues, those in an executor's hands among them."""
        listed = self.rabbitmq.ctl("list_queues", "--formatter", "json", "name", "messages")
        return {queue["name"]: queue["messages"] for queue in json.loads(listed)}

    @property
    def newest_path(self) -> str:
        """Of the operation that the last change has added."""
        return f"/clients-{self.changes}"

    def change_operations(self) -> str:
        """Another revision of the operation, and one operation more; returns the file's text."""
        self.changes += 1
        timeout = f"timeoutSeconds: {15 + self.changes / 10}"
        changed = OPERATIONS.replace("timeoutSeconds: 15", timeout)
        more = OPERATIONS.partition("operations:")[2].partition("  create-report:")[0]
        more = more.replace("create-client:", f"create-client-{self.changes}:")
        text = changed + more.replace("POST /clients", f"POST {self.newest_path}")
        self._replace(self.installation.folder / "operations.yaml", text)
        return text

    def change_late_operations(self, text: str) -> None:
        self._replace(self._late_operations, text)

    @staticmethod
    def _replace(file: Path, text: str) -> None:
        new = file.with_suffix(".new")
        new.write_text(text)
        new.rename(file)

    @property
    def customers(self) -> Path:
        """The database of the demo Customer API."""
        return self.installation.demo_data / "customers.db"

    def _installation(
        self,
        folder: Path,
        database_url: str,
        prefix: str,
        *,
        demo_url: str = "",
        **more_settings: object,
    ) -> Installation:
        return Installation(
            folder,
            database_url=database_url,
            broker_url=self.rabbitmq.url,
            broker_prefix=prefix,
            operations=OPERATIONS,
            settings={**SETTINGS, **more_settings},
            environment={
                "ORDERS_URL": f"http://127.0.0.1:{self.orders_port}/",
                named_command.NAMES_FILE: str(self.receivers.names_file),
                **({"CUSTOMER_API_URL": demo_url} if demo_url else {}),
            },
        )

    def _executor(self, name: str) -> Service:
        if name != LATE_EXECUTOR:
            return self.installation.executor(name)
        return self.installation.executor(name, operations_file=self._late_operations)

    def _deliverer(self, name: str) -> Service:
        command = (sys.executable, "-m", named_command.__name__)
        return self.installation.executor(name, queue=delivery_operation.QUEUE, command=command)

    def _services(self) -> list[Supervised]:
        install, neighbour = self.installation, self.neighbour
        return [
            Supervised(install.demo_api(DEMO_API), sign="demo Customer API listens"),
            *(Supervised(install.proxy(name), sign="proxy listens") for name in PROXIES),
            *(Supervised(self._executor(name), sign="executor consumes") for name in EXECUTORS),
            *(Supervised(self._deliverer(name), sign="executor consumes") for name in DELIVERERS),
            Supervised(neighbour.proxy(NEIGHBOUR_PROXY), sign="proxy listens"),
            Supervised(neighbour.executor(NEIGHBOUR_EXECUTOR), sign="executor consumes"),
        ]


async def _create_database(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {NEIGHBOUR}")
    finally:
        await connection.close()
