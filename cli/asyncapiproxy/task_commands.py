"""`asyncapiproxy task`: submit, show and watch tasks through a proxy's HTTP API."""

from __future__ import annotations

from asyncapiproxy.typer_app import new_app

task_app = new_app(help="Submit, show and watch tasks through a running proxy.")


@task_app.callback()
def main() -> None:
    """Nothing yet."""
