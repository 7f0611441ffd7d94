"""The commands that start a service or prepare what it needs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import structlog
import typer

from asyncapiproxy.data_folder import own_data_folder
from asyncapiproxy.process import run
from asyncexecutor.executor import run_executor
from asyncexecutor.runnables import check_runnable
from asyncexecutor.settings import ExecutorSettings
from asyncoperator.settings import OperatorSettings
from asyncproxy.settings import ProxySettings
from asynctasks.callbacks.signing import new_signing_key
from asynctasks.connections import MEMORY, connect
from asynctasks.errors import SettingsError
from asynctasks.logs import configure_logging
from asynctasks.migration import migrate_when_there
from asynctasks.operations.delivery_operation import with_deliveries
from asynctasks.operations.operations_file import load_operations
from asynctasks.operations.operations_watch import followed_file
from asynctasks.operations.sealing import new_sealing_key
from asynctasks.settings import MigrationSettings, Settings, unknown_variables

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator

DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="postgresql://… or sqlite:///file.db. [ASYNCAPIPROXY_DATABASE_URL]"),
]
BrokerUrl = Annotated[str | None, typer.Option(help="amqp://… [ASYNCAPIPROXY_BROKER_URL]")]
OperationsFile = Annotated[
    Path | None,
    typer.Option("--operations", help="The operations file. [ASYNCAPIPROXY_OPERATIONS_FILE]"),
]
Host = Annotated[str | None, typer.Option(help="The address to listen on. [ASYNCAPIPROXY_HOST]")]
Port = Annotated[int | None, typer.Option(help="The port to listen on. [ASYNCAPIPROXY_PORT]")]

DEMO_PORT = 8081

SettingsT = TypeVar("SettingsT", bound=Settings)

log = structlog.get_logger(__name__)


def add_service_commands(app: typer.Typer) -> None:
    """Add the commands to the application, in the order in which a newcomer needs them."""
    for command in (
        up,
        proxy,
        executor,
        operator,
        migrate_command,
        demo_api,
        sealing_key,
        callback_key,
    ):
        app.command(name=command.__name__.removesuffix("_command").replace("_", "-"))(command)


def up(
    port: Annotated[int, typer.Option(help="The proxy's port; the demo API has the next.")] = 8080,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    data: Annotated[
        Path, typer.Option(help="Where the database and the sealing key are kept.")
    ] = Path(".data"),
    operations_file: OperationsFile = None,
) -> None:
    r"""Run everything in one process: proxy, executor, demo Customer API, on SQLite.

    Nothing else is needed: the queue is in memory, and the tasks are in the data folder. With
    `--operations FILE` it serves your own; the demo API runs beside those that call it. Try

        curl -i -X POST localhost:8080/clients/ -H 'content-type: application/json' \
             -d '{"email": "ann@example.com", "name": "Ann"}'
    """

    async def main(stop: asyncio.Event) -> None:
        with _needing(extra="proxy"):
            from asyncapiproxy.up import run_up  # noqa: PLC0415 - an extra
        await run_up(stop, host=host, port=port, data=data, operations_file=operations_file)

    run(main)


def proxy(
    host: Host = None,
    port: Port = None,
    database_url: DatabaseUrl = None,
    broker_url: BrokerUrl = None,
    operations_file: OperationsFile = None,
) -> None:
    """Run a proxy: it accepts calls, stores and publishes them as tasks, and waits for replies."""
    given = {
        "host": host,
        "port": port,
        "database_url": database_url,
        "broker_url": broker_url,
        "operations_file": operations_file,
    }

    async def main(stop: asyncio.Event) -> None:
        settings = _settings(ProxySettings, given)
        with _needing(extra="proxy"):
            from asyncproxy.proxy import run_proxy  # noqa: PLC0415 - an extra
            from asyncproxy.server import listen  # noqa: PLC0415 - an extra
        async with (
            followed_file(
                settings.operations_file, callback_urls=settings.callback_allow
            ) as operations,
            connect(settings, operations.current, service="asyncapiproxy-proxy") as connections,
        ):
            with listen(settings.host, settings.port) as listener:
                await run_proxy(settings, operations, connections, listener, stop)

    run(main)


def executor(
    queue: Annotated[str, typer.Option(help="The queue whose tasks it runs.")],
    concurrency: Annotated[
        int | None, typer.Option(help="Attempts at a time. [ASYNCAPIPROXY_CONCURRENCY]")
    ] = None,
    database_url: DatabaseUrl = None,
    broker_url: BrokerUrl = None,
    operations_file: OperationsFile = None,
) -> None:
    """Run an executor: it takes one queue's tasks and calls the upstream for each.

    SIGTERM drains it: it takes no more, finishes what it can, and gives back the rest.
    """
    given = {
        "concurrency": concurrency,
        "database_url": database_url,
        "broker_url": broker_url,
        "operations_file": operations_file,
    }

    async def main(stop: asyncio.Event) -> None:
        settings = _settings(ExecutorSettings, given)
        async with followed_file(
            settings.operations_file, callback_urls=settings.callback_allow
        ) as operations:
            served = [each for each in operations.current.values() if each.queue == queue]
            check_runnable(served, os.environ)
            async with connect(
                settings, operations.current, service="asyncapiproxy-executor"
            ) as connections:
                await run_executor(
                    settings,
                    operations,
                    connections,
                    queue=queue,
                    environment=os.environ,
                    stop=stop,
                )

    run(main)


def operator(
    namespace: Annotated[
        str | None, typer.Option(help="The namespace it works in. [ASYNCAPIPROXY_NAMESPACE]")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="How it signs in. [ASYNCAPIPROXY_KUBECONFIG]")
    ] = None,
    database_url: DatabaseUrl = None,
    broker_url: BrokerUrl = None,
    operations_file: OperationsFile = None,
) -> None:
    """Run an operator: it shows tasks in Kubernetes as AsyncTasks, and scales executors.

    Several may run; one leads, and the others stand by.
    """
    given = {
        "namespace": namespace,
        "kubeconfig": kubeconfig,
        "database_url": database_url,
        "broker_url": broker_url,
        "operations_file": operations_file,
    }

    async def main(stop: asyncio.Event) -> None:
        settings = _settings(OperatorSettings, given)
        with _needing(extra="operator"):
            from asyncoperator.operator_process import run_operator  # noqa: PLC0415 - an extra
        operations = with_deliveries(
            load_operations(settings.operations_file), settings.callback_allow
        )
        async with connect(settings, operations, service="asyncapiproxy-operator") as connections:
            await run_operator(settings, operations, connections, stop=stop)

    run(main)


@contextmanager
def _needing(*, extra: str) -> Generator[None]:
    """Tell which extra brings what an import lacks: each service does without the others'."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"This command needs {error.name}: pip install 'asyncapiproxy[{extra}]'"
        ) from error


def migrate_command(
    database_url: DatabaseUrl = None,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait for a database that does not answer yet.")
    ] = 0,
) -> None:
    """Create or upgrade the task database. Safe to run many times, and by many at once."""

    async def main(stop: asyncio.Event) -> None:
        settings = MigrationSettings.read({"database_url": database_url})
        configure_logging(level=settings.log_level, log_format=settings.log_format)
        revision = await migrate_when_there(
            settings.database_url,
            service_url=settings.service_database_url,
            wait_seconds=wait,
            stop=stop,
        )
        typer.echo(f"The task database is at revision {revision}.")

    run(main)


def demo_api(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = DEMO_PORT,
    data: Annotated[Path, typer.Option(help="Where its clients are kept.")] = Path(".data"),
) -> None:
    """Run the demo Customer API: an upstream that is slow or fails where an email asks for it.

    `slow+3@example.com` takes 3 s, `fail+503@…` answers 503, `flaky+2@…` answers 503 twice and
    then succeeds, `drop@…` closes the connection, `huge+5@…` answers 5 MB.
    """

    async def main(stop: asyncio.Event) -> None:
        with _needing(extra="proxy"):
            from asyncapiproxy.demo.api import create_demo_api  # noqa: PLC0415 - an extra
            from asyncproxy.server import listen, serve, url_of  # noqa: PLC0415 - an extra
        with own_data_folder(data):
            app = create_demo_api(data / "customers.db")
            listener = listen(host, port)
            log.info("demo Customer API listens", url=url_of(listener))
            await serve(app, listener=listener, stop=stop, shutdown_seconds=5)

    run(main)


def sealing_key() -> None:
    """Print a new key for ASYNCAPIPROXY_SEALING_KEYS, which seals `writeOnly` arguments.

    To rotate, put the new key before the old one; remove the old one when its tasks are gone.
    """
    typer.echo(new_sealing_key())


def callback_key() -> None:
    """Print a new key for ASYNCAPIPROXY_CALLBACK_KEYS, by which callbacks are signed (Ed25519).

    To rotate, put the new key before the old one; remove the old one when receivers, who may keep
    the public keys for five minutes, have the new one.
    """
    typer.echo(new_signing_key())


def _settings(kind: type[SettingsT], given: dict[str, Any]) -> SettingsT:
    settings = kind.read(given)
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    if settings.broker_url.startswith(MEMORY):
        raise SettingsError(
            "ASYNCAPIPROXY_BROKER_URL: memory:// joins nothing across processes; "
            "use amqp://…, or run `asyncapiproxy up`"
        )
    for name in unknown_variables(Settings, ProxySettings, ExecutorSettings, OperatorSettings):
        log.warning("unknown setting", variable=name)
    return settings
