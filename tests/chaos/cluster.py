"""The whole system as real processes: proxies, executors, demo API, PostgreSQL, RabbitMQ."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Self

from asynctestkit.ports import free_port
from asynctestkit.servers import PostgresqlServer, RabbitmqServer
from service import Service

PROXIES = ("proxy-1", "proxy-2")
EXECUTORS = ("executor-1", "executor-2", "executor-3")
DEMO_API = "demo-api"
QUEUE = "clients"
PREFIX = "chaos"
LEASE_SECONDS = 5
DRAIN_SECONDS = 3
PROGRAM = str(Path(sys.executable).with_name("asyncapiproxy"))
OPERATIONS_FILE = Path(__file__).with_name("operations.yaml")


class Cluster:
    """Starts all with `with` and leaves nothing running. Use it from one thread that stays.

    The processes end with the thread that started them (Linux's parent death signal).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgresql = PostgresqlServer()
        self.rabbitmq = RabbitmqServer()
        self.services: dict[str, Service] = {}
        self.ports = {name: free_port() for name in (*PROXIES, DEMO_API)}

    def __enter__(self) -> Self:
        try:
            self.postgresql.start()
            self.rabbitmq.start()
            self._migrate()
            self.services = {service.name: service for service in self._make_services()}
            for service in self.services.values():
                service.start()
            for service in self.services.values():
                service.wait_ready()
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
        return f"http://127.0.0.1:{self.ports[name]}"

    def queue_lengths(self) -> dict[str, int]:
        """Messages on each of the broker's queues, those in an executor's hands among them."""
        listed = self.rabbitmq.ctl("list_queues", "--formatter", "json", "name", "messages")
        return {queue["name"]: queue["messages"] for queue in json.loads(listed)}

    @property
    def customers(self) -> Path:
        return self.folder / "demo" / "customers.db"

    def _make_services(self) -> list[Service]:
        demo = ["demo-api", "--port", str(self.ports[DEMO_API]), "--data", f"{self.folder}/demo"]
        return [
            self._service(DEMO_API, demo, sign="demo Customer API listens"),
            *(
                self._service(
                    name, ["proxy", "--port", str(self.ports[name])], sign="proxy listens"
                )
                for name in PROXIES
            ),
            *(
                self._service(name, ["executor", "--queue", QUEUE], sign="executor consumes")
                for name in EXECUTORS
            ),
        ]

    def _service(self, name: str, arguments: list[str], *, sign: str) -> Service:
        return Service(
            name,
            [PROGRAM, *arguments],
            environment=self._environment(),
            log=self.folder / f"{name}.log",
            sign=sign,
        )

    def _environment(self) -> dict[str, str]:
        inherited = ("PATH", "HOME", "LANG", "PYTHONPATH")
        return {name: os.environ[name] for name in inherited if name in os.environ} | {
            "ASYNCAPIPROXY_DATABASE_URL": self.postgresql.url,
            "ASYNCAPIPROXY_BROKER_URL": self.rabbitmq.url,
            "ASYNCAPIPROXY_BROKER_PREFIX": PREFIX,
            "ASYNCAPIPROXY_OPERATIONS_FILE": str(OPERATIONS_FILE),
            "ASYNCAPIPROXY_SEALING_KEYS": "Y2hhb3MtY2hhb3MtY2hhb3MtY2hhb3MtY2hhb3MtY2g=",
            "ASYNCAPIPROXY_LOG_FORMAT": "json",
            "ASYNCAPIPROXY_LEASE_SECONDS": str(LEASE_SECONDS),
            "ASYNCAPIPROXY_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "ASYNCAPIPROXY_PUBLISH_GRACE_SECONDS": "5",
            "ASYNCAPIPROXY_MAX_INTERRUPTIONS": "20",
            "ASYNCAPIPROXY_MAX_RESPONSE_BYTES": "2000000",
            "ASYNCAPIPROXY_CONCURRENCY": "100",
            "CUSTOMER_API_URL": self.url(DEMO_API),
        }

    def _migrate(self) -> None:
        subprocess.run(
            [PROGRAM, "migrate"],
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )
