"""What `task cancel`, `retry` and `delete` do where no id is typed but which tasks are meant."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, cast

import typer

from asyncapiproxy.task.completion import complete_ids, complete_operations, complete_statuses
from asyncapiproxy.task.session import ExitCode, Format, console, hint, open_proxy
from asyncapiproxy.task.typed_options import labels_typed, seconds_typed

if TYPE_CHECKING:
    from asyncapiproxy.client.batch_state import BatchAction, BatchCounts, BatchState
    from asyncapiproxy.client.task_filter import TaskFilter
    from asyncapiproxy.client.task_state import TaskStatus

OneId = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]", help="The task's id, or how it begins.", autocompletion=complete_ids
    ),
]
Status = Annotated[
    list[str] | None,
    typer.Option(help="All that are queued, running, failed, …", autocompletion=complete_statuses),
]
Operation = Annotated[
    list[str] | None,
    typer.Option(help="All of this operation.", autocompletion=complete_operations),
]
Label = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="All with this label; several times: with each."),
]
Batch = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="All that were submitted in this batch.")
]
ErrorType = Annotated[
    list[str] | None,
    typer.Option(metavar="TYPE", help="All that ended by this problem: upstream-timeout, …"),
]
Since = Annotated[
    list[str] | None,
    typer.Option(metavar="TIME", help="All created no longer ago: 90s, 5m, 2h or 1d."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say how many tasks there are, and do nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it is done.")]


def meant(
    task_id: str | None,
    *,
    status: list[str] | None,
    operation: list[str] | None,
    label: list[str] | None,
    batch: list[str] | None,
    error_type: list[str] | None,
    since: list[str] | None,
    dry_run: bool,
) -> str | TaskFilter:
    """The id of one task, or which ones; raises BadParameter for both, and for neither."""
    is_filtered = any((status, operation, label, batch, error_type, since))
    if task_id is not None and (is_filtered or dry_run):
        raise typer.BadParameter("give an ID, or which tasks are meant, and not both")
    if task_id is not None:
        return task_id
    if not is_filtered:
        raise typer.BadParameter(
            "give an ID, or which tasks are meant: "
            "--status, --operation, --label, --batch, --error-type or --since"
        )
    return task_filter(
        status=status,
        operation=operation,
        label=label,
        batch=batch,
        error_type=error_type,
        since=since,
    )


def task_filter(
    *,
    status: list[str] | None,
    operation: list[str] | None,
    label: list[str] | None,
    batch: list[str] | None,
    error_type: list[str] | None,
    since: list[str] | None = None,
) -> TaskFilter:
    """Which tasks are asked for; a status that is none is the proxy's to refuse.

    Raises BadParameter for what is given twice: the last alone would mean more than was asked for.
    """
    from asyncapiproxy.client.task_filter import TaskFilter  # noqa: PLC0415 - see session

    seconds = seconds_typed(_once(since, "--since"), "--since")
    return TaskFilter(
        status=cast("TaskStatus | None", _once(status, "--status")),
        operation=_once(operation, "--operation"),
        labels=_labels(label or []),
        batch=_once(batch, "--batch"),
        error_type=_once(error_type, "--error-type"),
        created_after=None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds),
    )


def _labels(given: list[str]) -> dict[str, str]:
    labels = labels_typed(given)
    if len(labels) < len(given):
        raise typer.BadParameter("give each label once, by its name", param_hint="--label")
    return labels


def _once(given: list[str] | None, option: str) -> str | None:
    if given and len(given) > 1:
        raise typer.BadParameter(f"it is given {len(given)} times; give one", param_hint=option)
    return given[0] if given else None


def act_on_many(
    action: BatchAction,
    which: TaskFilter,
    *,
    dry_run: bool,
    yes: bool,
    url: str,
    token: str | None,
    shown_as: Format = Format.TEXT,
) -> None:
    """Have it done with all of them; on a terminal once the person has seen how many they are."""
    with open_proxy(url, token=token, is_json=shown_as is Format.JSON) as client:
        if dry_run:
            _show_counts(client.count_batch(action, which), shown_as=shown_as)
            return
        if not yes and sys.stdin.isatty():
            counted = _told(client.count_batch(action, which))
            if not typer.confirm(f"{counted}. {action.capitalize()} them?", err=True):
                raise typer.Exit(ExitCode.FAILED)
        _show_batch(client.batch(action, which), shown_as=shown_as)


def _told(counts: BatchCounts) -> str:
    """For people: `12 tasks: 10 failed, 2 expired`."""
    more = "" if counts.is_complete else " or more"
    statuses = ", ".join(f"{count} {status}" for status, count in counts.statuses.items())
    said = f"{counts.matched}{more} {'task' if counts.matched == 1 else 'tasks'}"
    return f"{said}: {statuses}" if statuses else said


def _show_counts(counts: BatchCounts, *, shown_as: Format) -> None:
    typer.echo(counts.text if shown_as is Format.JSON else _told(counts))


def _show_batch(batch: BatchState, *, shown_as: Format) -> None:
    if shown_as is Format.JSON:
        typer.echo(batch.text)
    elif shown_as is Format.NAME:
        typer.echo(batch.id)
    else:
        from asyncapiproxy.task.display import batch_view  # noqa: PLC0415 - Rich takes its time

        console().print(batch_view(batch.document))
        hint(f"How far it has come: asyncapiproxy batch get {batch.id}")
