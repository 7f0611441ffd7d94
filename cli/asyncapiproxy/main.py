"""The `asyncapiproxy` command."""

from __future__ import annotations

from functools import cache
from typing import Any

import typer.main
from typer.core import TyperGroup

from asyncapiproxy.operating_commands import limit_app, operations_app, queue_app
from asyncapiproxy.task.commands import task_app
from asyncapiproxy.typer_app import new_app


class CommandGroup(TyperGroup):
    """Loads the services' commands when one is asked for.

    They import all that a service stands on, which takes a second: `task` starts without.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """The services first, in the order in which a newcomer needs them."""
        return [*_service_commands().commands, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Our own command, else a service's."""
        return super().get_command(ctx, cmd_name) or _service_commands().commands.get(cmd_name)


@cache
def _service_commands() -> TyperGroup:
    from asyncapiproxy.service_commands import add_service_commands  # noqa: PLC0415 - see above

    services = new_app(help="")
    add_service_commands(services)
    return typer.main.get_group(services)


app = new_app(
    cls=CommandGroup,
    help="""An HTTP front door for slow APIs.

    `asyncapiproxy up` runs everything in one process, to try it. In production `proxy` and
    `executor` are processes of their own that share a PostgreSQL database and RabbitMQ;
    `migrate` prepares the database. Settings come from the environment (ASYNCAPIPROXY_…) or from
    the options below.""",
)
app.add_typer(task_app, name="task")
app.add_typer(queue_app, name="queue")
app.add_typer(limit_app, name="limit")
app.add_typer(operations_app, name="operations")
