"""`asyncapiproxy task`: submit, show and watch tasks through a proxy's HTTP API."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path  # noqa: TC003 - Typer reads the annotation
from typing import TYPE_CHECKING, Annotated

import typer

from asyncapiproxy.task.bulk import (
    Batch,
    DryRun,
    ErrorType,
    Label,
    OneId,
    Operation,
    Since,
    Status,
    Yes,
    act_on_many,
    meant,
    task_filter,
)
from asyncapiproxy.task.completion import complete_operations, complete_statuses
from asyncapiproxy.task.delivery_commands import deliveries, redeliver
from asyncapiproxy.task.opened_task import open_task
from asyncapiproxy.task.quick_client import LOCAL, WHERE
from asyncapiproxy.task.session import (
    ExitCode,
    Format,
    ListFormat,
    ListView,
    TaskFormat,
    TaskId,
    Token,
    Url,
    exit_code,
    hint,
    open_proxy,
    show,
    show_error,
    show_list,
)
from asyncapiproxy.task.submit_command import finish, submit
from asyncapiproxy.task.typed_body import write_answer
from asyncapiproxy.task.typed_options import seconds_typed
from asyncapiproxy.typer_app import new_app

if TYPE_CHECKING:
    from asyncapiproxy.client.task_state import TaskPage

task_app = new_app(
    help=f"""Submit, show and watch tasks through a running proxy.

    {WHERE}
    `asyncapiproxy up` starts one. Where it wants to know who calls, it is shown the token or API
    key in ASYNCAPIPROXY_TOKEN. An ID may be shortened to its beginning.

    Exit codes of `submit` and `watch`: **0** succeeded (or accepted, with `--async`);
    **1** failed, cancelled or expired, or the proxy answered with a problem;
    **2** wrong usage, or no proxy answers; **3** still running when the wait ended;
    **130** left with Ctrl-C, while the task goes on. The other commands: **0**, **1** for a
    problem, **2**."""
)
task_app.command()(submit)


@task_app.command()
def get(
    *, task_id: TaskId, shown_as: TaskFormat = Format.TEXT, url: Url = LOCAL, token: Token = None
) -> None:
    """Show a task: where it stands, why it waits and, once it is done, its response or its error.

        asyncapiproxy task get 01a20d27-4842-7030-8580-6a45b8f6a9d0

        asyncapiproxy task get 01a20d27-4842-7030 -o json | jq .response.body

    Exits with 0 if there is such a task, wherever it stands; 1 if not; 2 where no proxy answers.
    """
    with open_task(task_id, url=url, token=token, shown_as=shown_as) as task:
        show(task.state, shown_as=shown_as)


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
    with open_task(task_id, url=url, token=token) as task:
        from asyncapiproxy.client.errors import TaskFailedError, TaskUnfinishedError  # noqa: PLC0415

        try:
            with task.response(timeout=0) as answer:
                write_answer(answer.iter_raw(), output)
                is_good = answer.status_code < HTTPStatus.BAD_REQUEST
        except (TaskFailedError, TaskUnfinishedError) as error:
            show_error(str(error))
            is_good = False
    raise typer.Exit(ExitCode.SUCCEEDED if is_good else ExitCode.FAILED)


@task_app.command()
def watch(
    *,
    task_id: TaskId,
    wait: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long to wait, 30 or 5m; else until it is done."),
    ] = None,
    shown_as: TaskFormat = Format.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Wait until a task is done, show that it waits on a terminal, and then the task.

        asyncapiproxy task watch 01a20d27-4842-7030-8580-6a45b8f6a9d0

    Exits with 0 if the task succeeded, 1 if it failed, was cancelled or expired or if there is no
    such task, 2 where no proxy answers, 3 if it still runs when the wait ends, 130 after Ctrl-C,
    which leaves the task alone.
    """
    seconds = seconds_typed(wait, "--wait")
    with open_task(task_id, url=url, token=token, shown_as=shown_as) as task:
        finish(task, seconds=seconds, shown_as=shown_as, url=url)
    raise typer.Exit(exit_code(task.state))


@task_app.command(name="list")
def list_tasks(
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="Only those that are queued, running, failed, …", autocompletion=complete_statuses
        ),
    ] = None,
    operation: Annotated[
        list[str] | None,
        typer.Option(help="Only those of this operation.", autocompletion=complete_operations),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Only those with this label; several times: with each."
        ),
    ] = None,
    batch: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only those that were submitted in this batch."),
    ] = None,
    error_type: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE", help="Only those that ended by this problem: upstream-timeout, …"
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 20,
    page_token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="Goes on where a page has ended.")
    ] = None,
    shown_as: Annotated[
        ListFormat,
        typer.Option(
            "--format",
            "-o",
            help="text, wide: all that fits into a line, json: the page as the proxy gives it, "
            "or name: ids alone.",
        ),
    ] = ListFormat.TEXT,
    view: Annotated[
        ListView,
        typer.Option(help="full: with -o json also arguments, and responses with their bodies."),
    ] = ListView.SUMMARY,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """List tasks, the newest first.

    asyncapiproxy task list --status failed --operation create-client
    """
    with open_proxy(url, token=token, is_json=shown_as is ListFormat.JSON) as client:
        which = task_filter(
            status=status, operation=operation, label=label, batch=batch, error_type=error_type
        )
        page = client.page(which, page_size=limit, page_token=page_token, view=view.value)
        _show_page(page, shown_as)
        if page.next_token and shown_as in {ListFormat.TEXT, ListFormat.WIDE}:
            hint(f"There may be more: --page-token {page.next_token}")


@task_app.command()
def cancel(
    *,
    task_id: OneId = None,
    status: Status = None,
    operation: Operation = None,
    label: Label = None,
    batch: Batch = None,
    error_type: ErrorType = None,
    since: Since = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    shown_as: TaskFormat = Format.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """End a task: at once where it is queued; where it runs its executor stops the call.

        asyncapiproxy task cancel 01a20d27-4842-7030-8580-6a45b8f6a9d0

        asyncapiproxy task cancel --status queued --operation create-client

    Without an ID it is done with all tasks that fit the options, as a batch, after you have seen on
    a terminal how many there are.

    Exits with 0 if its end is asked for, 1 if it has finished already or there is no such task, 2
    where no proxy answers.
    """
    which = meant(
        task_id,
        status=status,
        operation=operation,
        label=label,
        batch=batch,
        error_type=error_type,
        since=since,
        dry_run=dry_run,
    )
    if not isinstance(which, str):
        act_on_many(
            "cancel", which, dry_run=dry_run, yes=yes, url=url, token=token, shown_as=shown_as
        )
        return
    with open_task(which, url=url, token=token, shown_as=shown_as) as task:
        show(task.cancel(), shown_as=shown_as)


@task_app.command()
def retry(
    *,
    task_id: OneId = None,
    status: Status = None,
    operation: Operation = None,
    label: Label = None,
    batch: Batch = None,
    error_type: ErrorType = None,
    since: Since = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    shown_as: TaskFormat = Format.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Run a failed, cancelled or expired task once more, under the same id.

        asyncapiproxy task retry 01a20d27-4842-7030-8580-6a45b8f6a9d0

        asyncapiproxy task retry --status failed --since 2h --dry-run

    Without an ID it is done with all tasks that fit the options, as a batch, after you have seen on
    a terminal how many there are.

    Exits with 0 if it is queued anew, 1 if it has not finished or has succeeded or there is no such
    task, 2 where no proxy answers.
    """
    which = meant(
        task_id,
        status=status,
        operation=operation,
        label=label,
        batch=batch,
        error_type=error_type,
        since=since,
        dry_run=dry_run,
    )
    if not isinstance(which, str):
        act_on_many(
            "retry", which, dry_run=dry_run, yes=yes, url=url, token=token, shown_as=shown_as
        )
        return
    with open_task(which, url=url, token=token, shown_as=shown_as) as task:
        show(task.retry(), shown_as=shown_as)


@task_app.command()
def delete(
    *,
    task_id: OneId = None,
    status: Status = None,
    operation: Operation = None,
    label: Label = None,
    batch: Batch = None,
    error_type: ErrorType = None,
    since: Since = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Forget a finished task and its answer, and its idempotency key with it.

        asyncapiproxy task delete 01a20d27-4842-7030-8580-6a45b8f6a9d0

        asyncapiproxy task delete --label team=a --yes

    Without an ID it is done with all tasks that fit the options, as a batch, after you have seen on
    a terminal how many there are.

    Exits with 0 if it is gone, 1 if it has not finished or there is no such task, 2 where no proxy
    answers.
    """
    which = meant(
        task_id,
        status=status,
        operation=operation,
        label=label,
        batch=batch,
        error_type=error_type,
        since=since,
        dry_run=dry_run,
    )
    if not isinstance(which, str):
        act_on_many("delete", which, dry_run=dry_run, yes=yes, url=url, token=token)
        return
    with open_task(which, url=url, token=token) as task:
        task.delete()
        hint(f"Forgotten: task {task.id}")


task_app.command()(deliveries)
task_app.command()(redeliver)


def _show_page(page: TaskPage, shown_as: ListFormat) -> None:
    if shown_as is ListFormat.JSON:
        typer.echo(page.text)
    elif shown_as is ListFormat.NAME:
        for task in page.tasks:
            typer.echo(task.id)
    else:
        from asyncapiproxy.task.display import tasks_view, wide_tasks_view  # noqa: PLC0415

        view = tasks_view if shown_as is ListFormat.TEXT else wide_tasks_view
        show_list(view(task.document for task in page.tasks), shown_as)
