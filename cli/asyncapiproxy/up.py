"""Everything in one process: proxy, one executor for each queue, and the demo Customer API."""

from __future__ import annotations

import asyncio
import os
from importlib.resources import files
from pathlib import Path

import structlog
from rich.console import Console

from asyncapiproxy.data_folder import make_data_folder, writing_into
from asyncapiproxy.demo.api import create_demo_api
from asyncexecutor.executor import run_executor
from asyncexecutor.settings import ExecutorSettings
from asyncproxy.proxy import run_proxy
from asyncproxy.server import listen, serve
from asyncproxy.settings import ProxySettings
from asynctasks.connections import MEMORY, connect
from asynctasks.logs import configure_logging
from asynctasks.migration import migrate
from asynctasks.operations.operations_file import load_operations
from asynctasks.operations.sealing import kept_sealing_key

UPSTREAM = "CUSTOMER_API_URL"

log = structlog.get_logger(__name__)


async def run_up(
    stop: asyncio.Event, *, host: str, port: int, data: Path, operations_file: Path | None
) -> None:
    """Serve until `stop` is set. Variables of the environment win over what is chosen here."""
    make_data_folder(data)
    given = _given(host=host, port=port, data=data, operations_file=operations_file)
    proxy_settings = ProxySettings.read(given)
    executor_settings = ExecutorSettings.read(given)
    configure_logging(level=proxy_settings.log_level, log_format=proxy_settings.log_format)
    operations = load_operations(proxy_settings.operations_file)
    await migrate(proxy_settings.database_url)
    demo_listener = listen(host, port + 1 if port else 0)
    demo_url = f"http://{host}:{demo_listener.getsockname()[1]}"
    environment = {UPSTREAM: demo_url, **os.environ}
    executors_stop = asyncio.Event()
    demo_stop = asyncio.Event()
    async with connect(proxy_settings, operations) as connections, asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve(
                create_demo_api(data / "customers.db"),
                listener=demo_listener,
                stop=demo_stop,
                shutdown_seconds=1,
            ),
            name="demo api",
        )
        executors = [
            tasks.create_task(
                run_executor(
                    executor_settings,
                    operations,
                    connections,
                    queue=queue,
                    environment=environment,
                    stop=executors_stop,
                ),
                name=f"executor {queue}",
            )
            for queue in sorted({operation.queue for operation in operations.values()})
        ]
        _say_hello(proxy_settings.port, demo_url, data)
        # From the front to the back, so that each part still has what it depends on.
        await run_proxy(proxy_settings, operations, connections, stop)
        executors_stop.set()
        await asyncio.gather(*executors)
        demo_stop.set()


def _given(*, host: str, port: int, data: Path, operations_file: Path | None) -> dict[str, object]:
    given: dict[str, object] = {
        "host": host,
        "port": port,
        "operations_file": operations_file,
        # Its proxy answers all probes; each executor would want the port for itself.
        "health_port": 0,
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
    return given


def _default_operations_file() -> Path:
    """The operations of the folder one stands in, else the worked example."""
    own = Path("operations.yaml")
    return own if own.exists() else Path(str(files("asyncapiproxy") / "operations.yaml"))


def _say_hello(port: int, demo_url: str, data: Path) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold green]AsyncApiProxy[/]")
    where = f"http://localhost:{port}" if port else "on the port that the log tells"
    console.print(f"  proxy         {where}      (try it at /docs)")
    console.print(f"  customer API  {demo_url}   (a demo: slow+3@…, fail+503@…, flaky+2@…)")
    console.print(f"  data          {data.resolve()}")
