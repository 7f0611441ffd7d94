"""What every `task` command shares: its options, the proxy it talks to, how it shows and ends."""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from asyncapiproxy.task.display import problem_view, task_view
from asyncapiproxy.task.proxy_client import ProblemError, ProxyClient
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Generator

    from asyncapiproxy.task.proxy_client import SeenTask


PIPE_WIDTH = 160


class ExitCode(IntEnum):
    """What a `task` command tells the shell."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    STILL_RUNNING = 3
    INTERRUPTED = 130


Url = Annotated[
    str, typer.Option(envvar="ASYNCAPIPROXY_URL", help="Where the proxy is.", metavar="URL")
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="ASYNCAPIPROXY_TOKEN",
        help="A token or API key that says who calls. Others on this machine may see it among the "
        "processes: better in the variable.",
        metavar="TOKEN",
        show_default=False,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Only the document, as the proxy gives it, on stdout.")
]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's id.")]

LOCAL = "http://localhost:8080"


@contextmanager
def open_proxy(url: str, *, token: str | None, as_json: bool) -> Generator[ProxyClient]:
    """The proxy at the URL; what goes wrong with it ends the command."""
    try:
        with ProxyClient(url, token=token) as client:
            yield client
    except ProblemError as error:
        if as_json:
            typer.echo(error.text)
        else:
            console(stderr=True).print(problem_view(error.problem))
        raise typer.Exit(ExitCode.FAILED) from error
    except AsyncApiProxyError as error:
        text = Text.assemble(("Error:", "bold red"), " ", str(error))
        console(stderr=True).print(text, soft_wrap=True)
        raise typer.Exit(ExitCode.USAGE) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(ExitCode.INTERRUPTED) from error


def exit_code(task: SeenTask, *, accepted: bool = False) -> ExitCode:
    """What the task's status comes to; one that was only to be accepted may still run."""
    if task.document["status"] == "succeeded" or (accepted and not task.is_done):
        return ExitCode.SUCCEEDED
    return ExitCode.FAILED if task.is_done else ExitCode.STILL_RUNNING


def show(task: SeenTask, *, as_json: bool) -> None:
    """The task on stdout."""
    if as_json:
        typer.echo(task.text)
    else:
        console().print(task_view(task.document))


def hint(text: str) -> None:
    """What one may do next, on stderr."""
    console(stderr=True).print(text, style="dim", soft_wrap=True)


def console(*, stderr: bool = False) -> Console:
    """A console for stdout or stderr, made when it is needed; highlights nothing by itself."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        # A pipe has no width of its own; an id must not be cut there.
        made.width = max(made.width, PIPE_WIDTH)
    return made
