"""The real processes of AsyncApiProxy, for whole-system tests, the chaos test and the benchmarks.

`Service` is one process of the `asyncapiproxy` command; `Installation` starts those that share a
database and a broker.
"""

import json
import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx

from asynctestkit.servers import ending_with_us, free_port, is_listening, kill_families

COMMAND = Path(sysconfig.get_path("scripts")) / "asyncapiproxy"
START_SECONDS = 30
"""Python imports for a second or two on an idle core; a busy machine takes longer."""
STOP_SECONDS = 40
POLL_SECONDS = 0.02
LOG_TAIL = 6_000

FAST_OPERATIONS = """
operations:
  create-client:
    summary: Create a client in the Customer API
    route: POST /clients
    queue: clients
    waitSeconds: 10
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


class ServiceStartError(RuntimeError):
    """A service ended, or was not ready in time; the text ends with its log."""


class Service:
    """One process of ours, with its log in a file that outlives restarts.

    It ends with the thread that started it, as `servers.PrivateServer` says.
    """

    def __init__(
        self,
        *arguments: str,
        name: str,
        folder: Path,
        environment: Mapping[str, str],
        is_ready: Callable[["Service"], bool],
        url: str = "",
        command: Sequence[str] = (str(COMMAND),),
    ) -> None:
        self.name = name
        self.url = url
        self.log_file = folder / f"{name}.log"
        self._command = [*ending_with_us(), *command, *arguments]
        self._folder = folder
        self._environment = {**bare_environment(folder), **environment}
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def launch(self) -> Self:
        """Start the process; several that are launched before they are waited for start at once."""
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def wait_until_ready(self) -> Self:
        """Raises ServiceStartError."""
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(self):
            if not self.is_running or time.monotonic() > deadline:
                raise ServiceStartError(f"{self.name} is not ready:\n{self.log[-LOG_TAIL:]}")
            time.sleep(POLL_SECONDS)
        return self

    def start(self) -> Self:
        """Returns when the service can be used; raises ServiceStartError."""
        return self.launch().wait_until_ready()

    def signal(self, number: signal.Signals) -> None:
        """Send the signal, without waiting for what comes of it."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit code of a process that ends by itself, or on a signal sent before."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> int:
        """SIGTERM, as Kubernetes ends a pod; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory is out; returns when the process is gone."""
        if self._process is not None and self.is_running:
            kill_families([self._process.pid])
            self._process.wait(STOP_SECONDS)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What all runs wrote to standard output and standard error."""
        with suppress(FileNotFoundError):
            return self.log_file.read_text(errors="replace")
        return ""

    @property
    def log_of_this_run(self) -> str:
        return self.log.encode()[self._log_start :].decode(errors="replace")

    @property
    def faults(self) -> list[str]:
        """Lines of the log that no outside cause explains: errors and tracebacks."""
        return [line for line in self.log.splitlines() if _is_fault(line)]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


Keep = Callable[[Service], Service]
"""Has a service ended with its scope, and its log shown where a test fails; does not start it."""


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
        command: Sequence[str] = (str(COMMAND),),
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        operations_file = folder / "operations.yaml"
        operations_file.write_text(operations)
        self.demo_url = f"http://127.0.0.1:{free_port()}"
        self._command = command
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
        url = f"http://127.0.0.1:{free_port()}"
        return Service(
            *("proxy", "--port", url.rpartition(":")[2]),
            name=name,
            folder=self.folder,
            environment=self._environment(settings),
            is_ready=answers("/readyz"),
            url=url,
            command=self._command,
        )

    def executor(
        self, name: str = "executor", *, queue: str = "clients", **settings: object
    ) -> Service:
        return Service(
            *("executor", "--queue", queue),
            name=name,
            folder=self.folder,
            environment=self._environment(settings),
            is_ready=has_logged(event="broker connected", connection=f"consume {queue}"),
            command=self._command,
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
            *("demo-api", "--port", port, "--data", str(self.folder / "demo-data")),
            name=name,
            folder=self.folder,
            environment={},
            is_ready=answers("/stats"),
            url=self.demo_url,
        )

    def _environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        variables = settings_environment({**self._settings, **settings})
        return {"CUSTOMER_API_URL": self.demo_url, **variables}


def up_service(
    folder: Path,
    *arguments: str,
    name: str = "up",
    operations: str = FAST_OPERATIONS,
    **settings: object,
) -> Service:
    """`asyncapiproxy up` with its data in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    operations_file = folder / "operations.yaml"
    operations_file.write_text(operations)
    port = free_port_pair()
    return Service(
        *("up", "--port", str(port), "--data", str(folder / "data")),
        *("--operations", str(operations_file), *arguments),
        name=name,
        folder=folder,
        environment=settings_environment(settings),
        is_ready=answers("/readyz"),
        url=f"http://127.0.0.1:{port}",
    )


def settings_environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Settings by their field's name, as the variables that a service reads."""
    return {f"ASYNCAPIPROXY_{name.upper()}": str(value) for name, value in settings.items()}


def bare_environment(home: Path) -> dict[str, str]:
    """Nothing of the environment of whoever runs the tests can change what they prove."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def free_port_pair() -> int:
    """A free port whose next is free too: `up` serves the demo API there."""
    while is_listening((port := free_port()) + 1):
        pass
    return port


def answers(path: str) -> Callable[[Service], bool]:
    """Ready when this path is answered with 200."""

    def is_ready(service: Service) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(service.url + path, trust_env=False).status_code == 200
        return False

    return is_ready


def has_logged(**members: object) -> Callable[[Service], bool]:
    """Ready when this run has logged an event with these members."""

    def is_ready(service: Service) -> bool:
        events = logged_events(service.log_of_this_run)
        return any(members.items() <= event.items() for event in events)

    return is_ready


def logged_events(log: str) -> list[dict[str, Any]]:
    """The JSON lines of a log; a line that is being written is no JSON yet."""
    events: list[dict[str, Any]] = []
    for line in log.splitlines():
        with suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                events.append(event)
    return events


def _is_fault(line: str) -> bool:
    if "Traceback" in line or "Exception" in line:
        return True
    return any(
        event.get("level") in {"error", "critical"} or "exception" in event
        for event in logged_events(line)
    )
