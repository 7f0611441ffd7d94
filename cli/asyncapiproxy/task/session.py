"""What every command that asks a proxy shares: its options, the client, how it shows and ends."""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from asyncapiproxy.in_cluster import SCHEME
from asyncapiproxy.task.completion import complete_ids
from asyncapiproxy.task.quick_client import quick_client, reached
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import Console, RenderableType

    from asyncapiproxy.client.client import Client
    from asyncapiproxy.client.task_state import Document, TaskState

UNBOUNDED_WIDTH = 10_000
"""A pipe has no width of its own: nothing is cut or folded there."""
LEAST_WIDTH = 80
"""Into which a list fits."""


_AWAY = "Start one with `asyncapiproxy up`, or name another by --url or ASYNCAPIPROXY_URL."
_IN_CLUSTER_AWAY = "kubectl forwards that port to a pod, which may have ended: try again."


class ExitCode(IntEnum):
    """What a command tells the shell."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    STILL_RUNNING = 3
    INTERRUPTED = 130


class Format(StrEnum):
    """How what is found is shown."""

    TEXT = "text"
    JSON = "json"
    NAME = "name"


class ListFormat(StrEnum):
    """How a list is shown."""

    TEXT = "text"
    WIDE = "wide"
    JSON = "json"
    NAME = "name"


class ListView(StrEnum):
    """How much of each task a list tells."""

    SUMMARY = "summary"
    FULL = "full"


class DocumentFormat(StrEnum):
    """How a document is shown."""

    TEXT = "text"
    JSON = "json"


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
TaskFormat = Annotated[
    Format,
    typer.Option(
        "--format", "-o", help="text, json: the document as the proxy gives it, or name: the id."
    ),
]
AsDocument = Annotated[
    DocumentFormat,
    typer.Option("--format", "-o", help="text, or json: the document as the proxy gives it."),
]
TaskId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The task's id, or how it begins.", autocompletion=complete_ids
    ),
]


@contextmanager
def open_proxy(url: str, *, token: str | None, is_json: bool = False) -> Generator[Client]:
    """A client of the proxy at the URL; what goes wrong with it ends the command.

    It is not patient until it is told to be: a person wants to know at once that nothing answers.
    """
    client_of = quick_client()
    from asyncapiproxy.client.errors import ProblemError, ProxyUnreachableError  # noqa: PLC0415

    try:
        with (
            reached(url) as address,
            client_of(address, token=token, patience_seconds=0) as client,
        ):
            yield client
    except ProblemError as error:
        show_problem(error.problem.document, is_json=is_json)
        raise typer.Exit(ExitCode.FAILED) from error
    except ProxyUnreachableError as error:
        show_error(f"{error}\n{_IN_CLUSTER_AWAY if url.startswith(SCHEME) else _AWAY}")
        raise typer.Exit(ExitCode.USAGE) from error
    except AsyncApiProxyError as error:
        show_error(str(error))
        raise typer.Exit(ExitCode.USAGE) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(ExitCode.INTERRUPTED) from error


def exit_code(state: TaskState, *, is_accepted_enough: bool = False) -> ExitCode:
    """What the task's status comes to; one that was only to be accepted may still run."""
    if state.status == "succeeded" or (is_accepted_enough and not state.is_done):
        return ExitCode.SUCCEEDED
    return ExitCode.FAILED if state.is_done else ExitCode.STILL_RUNNING


def show(state: TaskState, *, shown_as: Format) -> None:
    """The task on stdout."""
    if shown_as is Format.JSON:
        typer.echo(state.text)
    elif shown_as is Format.NAME:
        typer.echo(state.id)
    else:
        from asyncapiproxy.task.display import task_view  # noqa: PLC0415 - Rich takes its time

        console().print(task_view(state.document))


def show_problem(problem: Document, *, is_json: bool = False) -> None:
    """A problem: the document on stdout, or what was wrong on stderr."""
    if is_json:
        show_json(problem)
        return
    from asyncapiproxy.task.display import problem_view  # noqa: PLC0415 - Rich takes its time

    console(stderr=True).print(problem_view(problem))


def show_json(document: Document) -> None:
    """A document on stdout, and nothing else."""
    from asynctasks.json_values import write_json  # noqa: PLC0415 - seldom needed

    typer.echo(write_json(document).decode())


def show_list(view: RenderableType, shown_as: ListFormat) -> None:
    """Print a list so that no id is cut, however narrow the terminal is."""
    out = console()
    # A narrower terminal folds lines by itself; Rich would cut ids.
    out.width = UNBOUNDED_WIDTH if shown_as is ListFormat.WIDE else max(out.width, LEAST_WIDTH)
    out.print(view)


def show_error(text: str) -> None:
    """What was wrong, on stderr."""
    from rich.text import Text  # noqa: PLC0415 - Rich takes its time

    said = Text.assemble(("Error:", "bold red"), " ", text)
    console(stderr=True).print(said, soft_wrap=True)


def hint(text: str) -> None:
    """What one may do next, on stderr."""
    console(stderr=True).print(text, style="dim", soft_wrap=True)


def console(*, stderr: bool = False) -> Console:
    """A console for stdout or stderr, made when it is needed; highlights nothing by itself."""
    from rich.console import Console  # noqa: PLC0415 - takes its time, and `-o json` needs none

    made = Console(stderr=stderr, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = max(made.width, UNBOUNDED_WIDTH)
    return made
