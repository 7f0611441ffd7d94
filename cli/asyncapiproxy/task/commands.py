"""`asyncapiproxy task`: submit, show and watch tasks through a proxy's HTTP API."""

from __future__ import annotations

import sys
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live

from asyncapiproxy.task.display import progress_view, tasks_view
from asyncapiproxy.task.following import follow
from asyncapiproxy.task.session import (
    LOCAL,
    AsJson,
    ExitCode,
    TaskId,
    Token,
    Url,
    console,
    exit_code,
    hint,
    open_proxy,
    show,
)
from asyncapiproxy.task.typed_arguments import (
    ArgumentTextError,
    arguments_from_json,
    arguments_from_text,
)
from asyncapiproxy.task.typed_body import typed_body, write_answer
from asyncapiproxy.typer_app import new_app

if TYPE_CHECKING:
    from rich.console import RenderableType

    from asyncapiproxy.task.proxy_client import ProxyClient, SeenTask

task_app = new_app(
    help="""Submit, show and watch tasks through a running proxy.

    The proxy is the one at `--url`, or at ASYNCAPIPROXY_URL, or at http://localhost:8080.
    `asyncapiproxy up` starts one. Where it wants to know who calls, it is shown the token or API
    key in ASYNCAPIPROXY_TOKEN.

    Exit codes of `submit` and `watch`: **0** succeeded (or accepted, with `--async`);
    **1** failed, cancelled or expired, or the proxy answered with a problem;
    **2** wrong usage, or no proxy answers; **3** still running when the wait ended;
    **130** left with Ctrl-C, while the task goes on. The other commands: **0**, **1** for a
    problem, **2**."""
)


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
    body: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The body, of an operation that takes one as it comes; - for stdin.",
        ),
    ] = None,
    content_type: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="What the body is; else by the ending of its name."),
    ] = None,
    as_json: AsJson = False,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Submit a task, wait for its answer and show the task.

    A value is read as the operation's schema says: text, number or boolean. For example

        asyncapiproxy task submit create-client email=ann@example.com name=Ann

        asyncapiproxy task submit create-client email=slow+3@example.com name=Sam --wait 10

        asyncapiproxy task submit create-client --arguments ann.json --async --json

        asyncapiproxy task submit scan --body invoice.pdf

    Exits with 0 if the task succeeded (with `--async`: was accepted), 1 if it failed, was
    cancelled or expired or if the proxy refused it, 2 for wrong usage or where no proxy answers,
    3 if it is still running when the wait ends. Then `task watch` waits on.
    """
    if respond_async and wait is not None:
        raise typer.BadParameter("--wait and --async exclude each other", param_hint="--async")
    window = 0.0 if respond_async else wait
    began = time.monotonic()
    with open_proxy(url, token=token, as_json=as_json) as client:
        declared = client.operation(operation)
        given = {} if arguments_file is None else arguments_from_json(_read(arguments_file))
        given |= arguments_from_text(arguments or [], declared.schemas)
        with typed_body(declared, body, content_type=content_type) as typed:
            task = client.submit(declared, given, wait_seconds=window, key=key, body=typed)
        if wait is not None:
            # The proxy may wait for a shorter time than it was asked to.
            *_, task = follow(client, task, seconds=wait - (time.monotonic() - began))
        show(task, as_json=as_json)
        if not (task.is_done or as_json):
            hint(f"The task goes on: asyncapiproxy task watch {task.id}")
    raise typer.Exit(exit_code(task, accepted=respond_async))


@task_app.command()
def get(*, task_id: TaskId, as_json: AsJson = False, url: Url = LOCAL, token: Token = None) -> None:
    """Show a task: where it stands and, once it is done, its response or its error.

        asyncapiproxy task get 01a20d27-4842-7030-8580-6a45b8f6a9d0

        asyncapiproxy task get 01a20d27-4842-7030-8580-6a45b8f6a9d0 --json | jq .response.body

    Exits with 0 if there is such a task, wherever it stands; 1 if not; 2 where no proxy answers.
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        show(client.task(task_id), as_json=as_json)


@task_app.command()
def response(
    *,
    task_id: TaskId,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write it; else to standard output."),
    ] = None,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Write a finished task's answer, byte by byte as the upstream gave it.

        asyncapiproxy task response 01a20d27-4842-7030-8580-6a45b8f6a9d0 --output report.pdf

    Exits with 0 if the upstream answered with a status below 400, 1 if not, or where there is no
    such task or it has not finished; 2 where no proxy answers.
    """
    with open_proxy(url, token=token, as_json=False) as client, client.response(task_id) as answer:
        write_answer(answer.iter_raw(), output)
        is_good = answer.status_code < HTTPStatus.BAD_REQUEST
    raise typer.Exit(ExitCode.SUCCEEDED if is_good else ExitCode.FAILED)


@task_app.command()
def watch(
    *, task_id: TaskId, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """Show a task while it changes, until it is done. With `--json`: the finished task alone.

        asyncapiproxy task watch 01a20d27-4842-7030-8580-6a45b8f6a9d0

    Exits with 0 if the task succeeded, 1 if it failed, was cancelled or expired or if there is no
    such task, 2 where no proxy answers, 130 after Ctrl-C, which leaves the task alone.
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        task = client.task(task_id)
        if console().is_terminal and not as_json:
            task = _follow_live(client, task)
        else:
            *_, task = follow(client, task)
            show(task, as_json=as_json)
    raise typer.Exit(exit_code(task))


@task_app.command(name="list")
def list_tasks(
    *,
    status: Annotated[
        str | None, typer.Option(help="Only those that are queued, running, failed, …")
    ] = None,
    operation: Annotated[str | None, typer.Option(help="Only those of this operation.")] = None,
    label: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE", help="Only those with this label.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 20,
    page_token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="Goes on where a page has ended.")
    ] = None,
    as_json: AsJson = False,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """List tasks, the newest first.

    asyncapiproxy task list --status failed --operation create-client
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        page = client.tasks(
            status=status,
            operation=operation,
            label=label,
            page_size=limit,
            page_token=page_token,
        )
        if as_json:
            typer.echo(page.text)
            return
        console().print(tasks_view(page.tasks))
        if page.next_token:
            hint(f"There may be more: --page-token {page.next_token}")


@task_app.command()
def cancel(
    *, task_id: TaskId, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """End a task: at once where it is queued; where it runs its executor stops the call.

        asyncapiproxy task cancel 01a20d27-4842-7030-8580-6a45b8f6a9d0

    Exits with 0 if its end is asked for, 1 if it has finished already or there is no such task, 2
    where no proxy answers.
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        show(client.cancel(task_id), as_json=as_json)


@task_app.command()
def retry(
    *, task_id: TaskId, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """Run a failed, cancelled or expired task once more, under the same id.

        asyncapiproxy task retry 01a20d27-4842-7030-8580-6a45b8f6a9d0

    Exits with 0 if it is queued anew, 1 if it has not finished or has succeeded or there is no such
    task, 2 where no proxy answers.
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        show(client.retry(task_id), as_json=as_json)


def _follow_live(client: ProxyClient, task: SeenTask) -> SeenTask:
    began = time.monotonic()
    shown = task

    def view() -> RenderableType:
        return progress_view(shown.document, seconds=time.monotonic() - began)

    with Live(get_renderable=view, console=console(), refresh_per_second=8):
        for seen in follow(client, task):
            shown = seen
    return shown


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ArgumentTextError(f"--arguments: {file}: {reason}") from error
