"""`asyncapiproxy task`: submit, show and watch tasks through a proxy's HTTP API."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from asyncapiproxy.following import follow
from asyncapiproxy.proxy_client import ProblemError, ProxyClient, SeenTask
from asyncapiproxy.task_display import problem_view, progress_view, task_view
from asyncapiproxy.typed_arguments import (
    ArgumentTextError,
    arguments_from_json,
    arguments_from_text,
)
from asyncapiproxy.typer_app import new_app
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import RenderableType

task_app = new_app(
    help="""Submit, show and watch tasks through a running proxy.

    The proxy is the one at `--url`, or at ASYNCAPI_URL, or at http://localhost:8080.
    `asyncapiproxy up` starts one.

    Exit codes of `submit` and `watch`: **0** succeeded (or accepted, with `--async`);
    **1** failed, cancelled or expired, or the proxy answered with a problem;
    **2** wrong usage, or no proxy answers; **3** still running when the wait ended;
    **130** left with Ctrl-C, while the task goes on. The other commands: **0**, **1** for a
    problem, **2**."""
)


class ExitCode(IntEnum):
    """What the process says to the shell."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    STILL_RUNNING = 3
    INTERRUPTED = 130


Url = Annotated[str, typer.Option(envvar="ASYNCAPI_URL", help="Where the proxy is.", metavar="URL")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Only the document, as the proxy gives it, on stdout.")
]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's id.")]

LOCAL = "http://localhost:8080"


@task_app.command()
def submit(
    *,
    operation: Annotated[
        str, typer.Argument(metavar="OPERATION", help="The operation's name: create-client.")
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]…", help="Its arguments. NAME:=JSON takes raw JSON."),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="How long to wait; else as long as the operation says."
        ),
    ] = None,
    respond_async: Annotated[
        bool, typer.Option("--async", help="Do not wait: exit when the task is accepted.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="An Idempotency-Key: a repeat joins the first task."),
    ] = None,
    arguments_file: Annotated[
        str | None,
        typer.Option(
            "--arguments",
            metavar="FILE",
            help="A JSON object with arguments, - for stdin: the place for a secret.",
        ),
    ] = None,
    as_json: AsJson = False,
    url: Url = LOCAL,
) -> None:
    """Submit a task, wait for its answer and show the task.

    A value is read as the operation's schema says: text, number or boolean. For example

        asyncapiproxy task submit create-client email=ann@example.com name=Ann

        asyncapiproxy task submit create-client email=slow+3@example.com name=Sam --wait 10

        asyncapiproxy task submit create-client --arguments ann.json --async --json

    Exits with 0 if the task succeeded (with `--async`: was accepted), 1 if it failed, was
    cancelled or expired or if the proxy refused it, 2 for wrong usage or where no proxy answers,
    3 if it is still running when the wait ends. Then `task watch` waits on.
    """
    if respond_async and wait is not None:
        raise typer.BadParameter("--wait and --async exclude each other", param_hint="--async")
    window = 0.0 if respond_async else wait
    began = time.monotonic()
    with _proxy(url, as_json=as_json) as client:
        declared = client.operation(operation)
        given = {} if arguments_file is None else arguments_from_json(_read(arguments_file))
        given |= arguments_from_text(arguments or [], declared.schemas)
        task = client.submit(declared, given, wait_seconds=window, key=key)
        if wait is not None:
            # The proxy may wait for a shorter time than it was asked to.
            *_, task = follow(client, task, seconds=wait - (time.monotonic() - began))
        _show(task, as_json=as_json)
        if not (task.is_done or as_json):
            _hint(f"The task goes on: asyncapiproxy task watch {task.id}")
    raise typer.Exit(_exit_code(task, accepted=respond_async))


@task_app.command()
def get(*, task_id: TaskId, as_json: AsJson = False, url: Url = LOCAL) -> None:
    """Show a task: where it stands and, once it is done, its response or its error.

        asyncapiproxy task get 01a20d27-4842-7030-8580-6a45b8f6a9d0

        asyncapiproxy task get 01a20d27-4842-7030-8580-6a45b8f6a9d0 --json | jq .response.body

    Exits with 0 if there is such a task, wherever it stands; 1 if not; 2 where no proxy answers.
    """
    with _proxy(url, as_json=as_json) as client:
        _show(client.task(task_id), as_json=as_json)


@task_app.command()
def watch(*, task_id: TaskId, as_json: AsJson = False, url: Url = LOCAL) -> None:
    """Show a task while it changes, until it is done. With `--json`: the finished task alone.

        asyncapiproxy task watch 01a20d27-4842-7030-8580-6a45b8f6a9d0

    Exits with 0 if the task succeeded, 1 if it failed, was cancelled or expired or if there is no
    such task, 2 where no proxy answers, 130 after Ctrl-C, which leaves the task alone.
    """
    with _proxy(url, as_json=as_json) as client:
        task = client.task(task_id)
        if as_json:
            *_, task = follow(client, task)
            _show(task, as_json=True)
        else:
            task = _follow_live(client, task)
    raise typer.Exit(_exit_code(task))


def _follow_live(client: ProxyClient, task: SeenTask) -> SeenTask:
    began = time.monotonic()
    shown = task

    def view() -> RenderableType:
        return progress_view(shown.document, seconds=time.monotonic() - began)

    with Live(get_renderable=view, console=_console(), refresh_per_second=8):
        for seen in follow(client, task):
            shown = seen
    return shown


@contextmanager
def _proxy(url: str, *, as_json: bool) -> Generator[ProxyClient]:
    """The proxy at the URL; what goes wrong with it ends the command."""
    try:
        with ProxyClient(url) as client:
            yield client
    except ProblemError as error:
        if as_json:
            typer.echo(error.text)
        else:
            _console(stderr=True).print(problem_view(error.problem))
        raise typer.Exit(ExitCode.FAILED) from error
    except AsyncApiProxyError as error:
        text = Text.assemble(("Error:", "bold red"), " ", str(error))
        _console(stderr=True).print(text, soft_wrap=True)
        raise typer.Exit(ExitCode.USAGE) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(ExitCode.INTERRUPTED) from error


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ArgumentTextError(f"--arguments: {file}: {reason}") from error


def _exit_code(task: SeenTask, *, accepted: bool = False) -> ExitCode:
    if task.document["status"] == "succeeded" or (accepted and not task.is_done):
        return ExitCode.SUCCEEDED
    return ExitCode.FAILED if task.is_done else ExitCode.STILL_RUNNING


def _show(task: SeenTask, *, as_json: bool) -> None:
    if as_json:
        typer.echo(task.text)
    else:
        _console().print(task_view(task.document))


def _hint(text: str) -> None:
    _console(stderr=True).print(text, style="dim", soft_wrap=True)


def _console(*, stderr: bool = False) -> Console:
    # Made when it is needed: what stdout is may have changed since the import.
    return Console(stderr=stderr, highlight=False)
