"""The `asyncapiproxy` command."""

from __future__ import annotations

from asyncapiproxy.service_commands import add_service_commands
from asyncapiproxy.task_commands import task_app
from asyncapiproxy.typer_app import new_app

app = new_app(
    help="""An HTTP front door for slow APIs.

    `asyncapiproxy up` runs everything in one process, to try it. In production `proxy` and
    `executor` are processes of their own that share a PostgreSQL database and RabbitMQ;
    `migrate` prepares the database. Settings come from the environment (ASYNCAPI_…) or from the
    options below."""
)
add_service_commands(app)
app.add_typer(task_app, name="task")
