"""The real processes of AsyncApiProxy, for whole-system tests, the chaos test and the benchmarks.

`Service` is one process of the `asyncapiproxy` command; `Installation` starts those that share a
database and a broker.
"""

import json
import subprocess
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from asynctasks.json_values import as_object
from asynctestkit.ports import free_port, free_port_pair
from asynctestkit.process import Process, bare_environment

COMMAND = Path(sysconfig.get_path("scripts")) / "asyncapiproxy"

FAST_OPERATIONS = """
operations:
  create-client:
    summary: Create a client in the Customer API
    route: POST /clients
    queue: clients
    waitSeconds: 30
    arguments:
      type: object
      required: [email, name]
      additionalProperties: false
      properties:
        email: {type: string, format: email, maxLength: 254}
        name: {type: string, minLength: 1, maxLength: 32}
        password: {type: string, minLength: 8, writeOnly: true}
        age: {type: integer, minimum: 0, maximum: 150}
    upstream: {method: POST, url: "{CUSTOMER_API_URL}/clients", timeoutSeconds: 30}
    retry: {maxAttempts: 3, backoffSeconds: [0.05, 0.1]}
  rename-client:
    route: PATCH /clients/{clientNumber}
    queue: clients
    arguments:
      type: object
      required: [clientNumber, name]
      properties:
        clientNumber: {type: integer, minimum: 1}
        name: {type: string}
    upstream: {method: PATCH, url: "{CUSTOMER_API_URL}/clients/{clientNumber}"}
"""
"""The worked example, with short retries, and an operation with an argument in its path."""


class Service(Process):
    """One process of the `asyncapiproxy` command."""

    def __init__(
        self,
        *arguments: str,
        name: str,
        folder: Path,
        environment: Mapping[str, str],
        is_ready: Callable[[Process], bool],
        url: str = "",
        health_url: str = "",
        command: Sequence[str] = (str(COMMAND),),
    ) -> None:
        self.health_url = health_url
        """Where it answers probes and shows its metrics, if anywhere."""
        super().__init__(
            *command,
            *arguments,
            name=name,
            folder=folder,
            environment=environment,
            is_ready=is_ready,
            url=url,
        )

    @property
    def faults(self) -> list[str]:
        """Lines of the log that no outside cause explains: errors and tracebacks."""
        return [line for line in self.log.splitlines() if _is_fault(line)]


Keep = Callable[[Service], Service]
"""Has a service ended with its scope, and its log shown where a test fails; does not start it."""


def start_all(keep: Keep, *services: Service) -> None:
    """Start all at once, and return when each is ready."""
    for service in services:
        keep(service).launch()
    for service in services:
        service.wait_until_ready()


class Installation:
    """AsyncApiProxy as separate processes over one database and one broker.

    Only builds services: who wants one starts it, and ends it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        broker_url: str,
        broker_prefix: str = "asyncapiproxy",
        operations: str = FAST_OPERATIONS,
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (str(COMMAND),),
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        operations_file = folder / "operations.yaml"
        operations_file.write_text(operations)
        self.demo_url = f"http://127.0.0.1:{free_port()}"
        self.demo_data = folder / "demo-data"
        self._command = command
        self._more_environment = dict(environment or {})
        self._settings = {
            "database_url": database_url,
            "broker_url": broker_url,
            "broker_prefix": broker_prefix,
            "operations_file": operations_file,
            "sealing_keys": "8mCJr0bGXcyTGmyN7HqtaV9bvEGq3Ik-MfN4Gqk5hN8=",
            **(settings or {}),
        }

    def migrate(self) -> str:
        """What `asyncapiproxy migrate` printed; raises CalledProcessError."""
        done = subprocess.run(
            [COMMAND, "migrate"],
            env=bare_environment(self.folder) | self._environment({}),
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def proxy(self, name: str = "proxy", **settings: object) -> Service:
        port, health_port = free_port(), free_port()
        return Service(
            *("proxy", "--port", str(port)),
            name=name,
            folder=self.folder,
            environment=self._environment({"health_port": health_port, **settings}),
            is_ready=answers("/ping"),
            url=f"http://127.0.0.1:{port}",
            health_url=f"http://127.0.0.1:{health_port}",
            command=self._command,
        )

    def executor(
        self,
        name: str = "executor",
        *,
        queue: str = "clients",
        command: Sequence[str] = (),
        **settings: object,
    ) -> Service:
        return Service(
            *("executor", "--queue", queue),
            name=name,
            folder=self.folder,
            environment=self._environment(settings),
            is_ready=has_logged(event="broker connected", connection=f"consume {queue}"),
            command=command or self._command,
        )

    def operator(
        self, name: str = "operator", *, kubeconfig: Path, namespace: str, **settings: object
    ) -> Service:
        """Ready when it leads or stands by."""
        port = free_port()
        ours = {"kubeconfig": kubeconfig, "namespace": namespace, "health_port": port}
        return Service(
            "operator",
            name=name,
            folder=self.folder,
            environment=self._environment({**ours, **settings}),
            is_ready=answers("/readyz"),
            url=f"http://127.0.0.1:{port}",
            command=self._command,
        )

    def demo_api(self, name: str = "demo-api") -> Service:
        port = self.demo_url.rpartition(":")[2]
        return Service(
            *("demo-api", "--port", port, "--data", str(self.demo_data)),
            name=name,
            folder=self.folder,
            environment={},
            is_ready=answers("/stats"),
            url=self.demo_url,
        )

    def _environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        variables = settings_environment({**self._settings, **settings})
        return {"CUSTOMER_API_URL": self.demo_url, **self._more_environment, **variables}


def up_service(
    folder: Path,
    *arguments: str,
    name: str = "up",
    operations: str = FAST_OPERATIONS,
    port: int | None = None,
    **settings: object,
) -> Service:
    """`asyncapiproxy up` with its data in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    operations_file = folder / "operations.yaml"
    operations_file.write_text(operations)
    port, health_port = port or free_port_pair(), free_port()
    return Service(
        *("up", "--port", str(port), "--data", str(folder / "data")),
        *("--operations", str(operations_file), *arguments),
        name=name,
        folder=folder,
        environment=settings_environment({"health_port": health_port, **settings}),
        is_ready=answers("/ping"),
        url=f"http://127.0.0.1:{port}",
        health_url=f"http://127.0.0.1:{health_port}",
    )


def settings_environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Settings by their field's name, as the variables that a service reads."""
    return {f"ASYNCAPIPROXY_{name.upper()}": str(value) for name, value in settings.items()}


def answers(path: str) -> Callable[[Process], bool]:
    """Ready when this path is answered with 200."""

    def is_ready(process: Process) -> bool:
        with suppress(httpx.TransportError):
            # To load certificates, often, would take the CPU by which the process starts.
            asked = httpx.get(process.url + path, trust_env=False, verify=False)
            return asked.status_code == 200
        return False

    return is_ready


def has_logged(**members: object) -> Callable[[Process], bool]:
    """Ready when this run has logged an event with these members."""

    def is_ready(process: Process) -> bool:
        events = logged_events(process.log_of_this_run)
        return any(members.items() <= event.items() for event in events)

    return is_ready


def logged_events(log: str) -> list[dict[str, Any]]:
    """The JSON lines of a log; a line that is being written is no JSON yet."""
    events: list[dict[str, Any]] = []
    for line in log.splitlines():
        with suppress(ValueError):
            event = as_object(json.loads(line))
            if event is not None:
                events.append(event)
    return events


def _is_fault(line: str) -> bool:
    if "Traceback" in line or "Exception" in line:
        return True
    return any(
        event.get("level") in {"error", "critical"} or "exception" in event
        for event in logged_events(line)
    )
