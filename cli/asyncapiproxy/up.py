"""Everything in one process: proxy, one executor for each queue, the demo's Customer API."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from rich.console import Console

from asyncapiproxy.data_folder import own_data_folder, writing_into
from asyncapiproxy.demo.api import create_demo_api
from asyncexecutor.executor import run_executor
from asyncexecutor.runnables import check_runnable
from asyncexecutor.settings import ExecutorSettings
from asyncproxy.proxy import run_proxy
from asyncproxy.server import listen, serve, url_of
from asyncproxy.settings import ProxySettings
from asynctasks.callbacks.signing import new_signing_key
from asynctasks.connections import MEMORY, connect
from asynctasks.errors import SettingsError
from asynctasks.kept_key import kept_key
from asynctasks.logs import configure_logging
from asynctasks.migration import migrate
from asynctasks.operations.operations_watch import followed_file
from asynctasks.operations.sealing import kept_sealing_key
from asynctasks.settings import check_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from socket import socket

    from asynctasks.connections import Connections
    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.operations.operation import Operations

UPSTREAM = "CUSTOMER_API_URL"
LAST_PORT = 65_535

log = structlog.get_logger(__name__)


async def run_up(
    stop: asyncio.Event, *, host: str, port: int, data: Path, operations_file: Path | None
) -> None:
    """Serve until `stop` is set. Variables of the environment win over what is chosen here."""
    with own_data_folder(data):
        given = _given(host=host, port=port, data=data, operations_file=operations_file)
        check_settings(given, ProxySettings, ExecutorSettings)
        proxy_settings = ProxySettings.read(given)
        # Its proxy answers all probes; each executor would want the port for itself.
        executor_settings = ExecutorSettings.read({**given, "health_port": 0})
        configure_logging(level=proxy_settings.log_level, log_format=proxy_settings.log_format)
        with listen(proxy_settings.host, proxy_settings.port) as listener:
            await _serve_all(proxy_settings, executor_settings, listener, data, stop)


async def _serve_all(
    proxy_settings: ProxySettings,
    executor_settings: ExecutorSettings,
    listener: socket,
    data: Path,
    stop: asyncio.Event,
) -> None:
    async with followed_file(
        proxy_settings.operations_file, callback_urls=proxy_settings.callback_allow
    ) as operations:
        await migrate(proxy_settings.database_url)
        is_called = _calls_demo_api(operations.current)
        demo_listener = _demo_listener(listener) if is_called else None
        demo_url = url_of(demo_listener) if demo_listener else None
        environment = {UPSTREAM: demo_url, **os.environ} if demo_url else os.environ
        check_runnable(operations.current.values(), environment)
        demo_stop = asyncio.Event()
        async with (
            connect(proxy_settings, operations.current) as connections,
            asyncio.TaskGroup() as tasks,
        ):
            if demo_listener:
                app = create_demo_api(data / "customers.db")
                demo = serve(app, listener=demo_listener, stop=demo_stop, shutdown_seconds=1)
                tasks.create_task(demo, name="demo api")
            executors = _Executors(
                executor_settings, operations, connections, tasks, environment=environment
            )
            _say_hello(proxy_settings, listener, demo_url, data)
            async with operations.followed_by(executors.prepare):
                # From the front to the back, so that each part still has what it depends on.
                await run_proxy(proxy_settings, operations, connections, listener, stop)
            await executors.stop()
            demo_stop.set()


def _calls_demo_api(operations: Operations) -> bool:
    """Whether an operation calls it by its name, and that name is given to nobody else."""
    if UPSTREAM in os.environ:
        return False
    urls = [operation.upstream.url for operation in operations.values() if operation.upstream]
    return any(f"{{{UPSTREAM}}}" in url for url in urls)


def _demo_listener(proxy: socket) -> socket:
    """On the port after the proxy's, or on any where that is taken."""
    host, port = proxy.getsockname()[:2]
    if port < LAST_PORT:
        try:
            return listen(host, port + 1)
        except SettingsError as error:
            log.info("the demo Customer API takes another port", reason=str(error))
    return listen(host, 0)


class _Executors:
    """One executor for each queue, also for one that appears in a changed operations file."""

    def __init__(
        self,
        settings: ExecutorSettings,
        operations: LiveOperations,
        connections: Connections,
        tasks: asyncio.TaskGroup,
        *,
        environment: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._operations = operations
        self._connections = connections
        self._tasks = tasks
        self._environment = environment
        self._stop = asyncio.Event()
        self._by_queue: dict[str, asyncio.Task[None]] = {}

    async def prepare(self, operations: Operations) -> Callable[[], None]:
        """Make ready to start those that lack; raises OperationsFileError."""
        check_runnable(operations.values(), self._environment)
        queues = {operation.queue for operation in operations.values()}
        return partial(self._start, sorted(queues - self._by_queue.keys()))

    def _start(self, queues: list[str]) -> None:
        for queue in queues:
            executor = run_executor(
                self._settings,
                self._operations,
                self._connections,
                queue=queue,
                environment=self._environment,
                stop=self._stop,
            )
            self._by_queue[queue] = self._tasks.create_task(executor, name=f"executor {queue}")

    async def stop(self) -> None:
        """Let all drain."""
        self._stop.set()
        await asyncio.gather(*self._by_queue.values())


def _given(*, host: str, port: int, data: Path, operations_file: Path | None) -> dict[str, object]:
    given: dict[str, object] = {
        "host": host,
        "port": port,
        "operations_file": operations_file,
    }
    defaults: dict[str, object] = {
        "database_url": f"sqlite:///{data.resolve() / 'tasks.db'}",
        "broker_url": MEMORY,
        "operations_file": _default_operations_file(),
        "drain_seconds": 5,
        "shutdown_seconds": 5,
        # The queue in memory is empty after each start, and what it held is published again.
        "publish_grace_seconds": 2,
    }
    for name, value in defaults.items():
        if f"ASYNCAPIPROXY_{name.upper()}" not in os.environ and given.get(name) is None:
            given[name] = value
    if "ASYNCAPIPROXY_SEALING_KEYS" not in os.environ:
        with writing_into(data):
            given["sealing_keys"] = kept_sealing_key(data / "sealing.key")
    if os.environ.get("ASYNCAPIPROXY_CALLBACK_ALLOW") and (
        "ASYNCAPIPROXY_CALLBACK_KEYS" not in os.environ
    ):
        with writing_into(data):
            given["callback_keys"] = kept_key(data / "callback.key", new_signing_key)
    return given


def _default_operations_file() -> Path:
    """The operations of the folder one stands in, else the worked example."""
    own = Path("operations.yaml")
    return own if own.exists() else Path(str(files("asyncapiproxy") / "operations.yaml"))


def _say_hello(settings: ProxySettings, listener: socket, demo_url: str | None, data: Path) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold green]AsyncApiProxy[/]")
    url = f"http://localhost:{listener.getsockname()[1]}"
    console.print(f"  proxy         {url}      (try it at /docs)")
    if settings.ui:
        console.print(f"  dashboard     {url}/ui")
    if demo_url:
        console.print(f"  customer API  {demo_url}   (a demo: slow+3@…, fail+503@…, flaky+2@…)")
    if settings.health_port:
        health_url = f"http://localhost:{settings.health_port}"
        console.print(f"  health        {health_url}      (/healthz, /readyz, /metrics)")
    console.print(f"  operations    {settings.operations_file.resolve()}")
    console.print(f"  data          {data.resolve()}")
