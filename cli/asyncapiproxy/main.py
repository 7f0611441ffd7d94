"""The `asyncapiproxy` command."""

from __future__ import annotations

from copy import copy
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main

from asyncapiproxy.lazy_command import LazyCommand, LazyGroup, needing_services
from asyncapiproxy.typer_app import new_app

if TYPE_CHECKING:
    from typer.models import CommandInfo

SERVICES = {
    "up": "Run everything in one process: proxy, executor, demo Customer API, on SQLite.",
    "proxy": "Run a proxy: it accepts calls, stores and publishes them as tasks, and waits for "
    "replies.",
    "executor": "Run an executor: it takes one queue's tasks and calls the upstream for each.",
    "operator": "Run an operator: it shows tasks in Kubernetes as AsyncTasks, and scales "
    "executors.",
    "migrate": "Create or upgrade the task database. Safe to run many times, and by many at once.",
    "demo-api": "Run the demo Customer API: an upstream that is slow or fails where an email asks "
    "for it.",
    "sealing-key": "Print a new key for ASYNCAPIPROXY_SEALING_KEYS, which seals `writeOnly` "
    "arguments.",
    "callback-key": "Print a new key for ASYNCAPIPROXY_CALLBACK_KEYS, by which callbacks are "
    "signed (Ed25519).",
}
"""What `asyncapiproxy --help` says of each, without the second that their imports take."""
CALLERS = {
    "access": ("access_commands", "Say who may call a proxy, and as whom it knows you."),
    "task": ("task.commands", "Submit, show and watch tasks through a running proxy."),
    "batch": ("batch_commands", "See how far one action on many tasks has come, and cancel it."),
    "operations": (
        "operations_commands",
        "See what a proxy serves, pause and resume it; check the file of it.",
    ),
    "queue": ("operating_commands", "See what waits and runs on each queue, pause and resume it."),
    "limit": (
        "operating_commands",
        "See what limits hold, change them without a rollout, pause and resume them.",
    ),
}


class CommandGroup(LazyGroup):
    """The services in the order in which a newcomer needs them; then what any client has."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for name, told in SERVICES.items():
            self.add_command(LazyCommand(name, help=told, load=partial(_service_command, name)))
        for name, (module, told) in CALLERS.items():
            load = partial(_caller_command, module, f"{name}_app")
            self.add_command(LazyCommand(name, help=told, load=load))


def _service_command(name: str, _: list[str]) -> Any:
    with needing_services():
        from asyncapiproxy.service_commands import add_service_commands  # noqa: PLC0415
    services = new_app(help="")
    add_service_commands(services)
    return typer.main.get_group(services).commands[name]


def _caller_command(module: str, name: str, words: list[str]) -> Any:
    """The group, with the one command that is meant: to make the others of it takes its time."""
    group = copy(getattr(import_module(f"asyncapiproxy.{module}"), name))
    meant = [each for each in group.registered_commands if words[:1] == [_name(each)]]
    group.registered_commands = meant or group.registered_commands
    return typer.main.get_group(group)


def _name(command: CommandInfo) -> str:
    return command.name or getattr(command.callback, "__name__", "").replace("_", "-")


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - takes longer than all else here

        typer.echo(f"asyncapiproxy {version('asyncapiproxy')}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
]

app = new_app(
    cls=CommandGroup,
    help="""An HTTP front door for slow APIs.

    `asyncapiproxy up` runs everything in one process, to try it. In production `proxy` and
    `executor` are processes of their own that share a PostgreSQL database and RabbitMQ;
    `migrate` prepares the database. Settings come from the environment (ASYNCAPIPROXY_…) or from
    the options below.""",
)


@app.callback()
def main(*, version: Version = False) -> None:
    """See the help above, which is the application's."""
