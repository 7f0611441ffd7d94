"""`asyncapiproxy task deliveries` and `redeliver`: who is told of a task's end by callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from asyncapiproxy.task.opened_task import open_task
from asyncapiproxy.task.quick_client import LOCAL
from asyncapiproxy.task.session import (
    ExitCode,
    ListFormat,
    TaskId,
    Token,
    Url,
    show_error,
    show_json,
    show_list,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncapiproxy.client.delivery import Delivery

DeliveryFormat = Annotated[
    ListFormat,
    typer.Option(
        "--format",
        "-o",
        help="text, wide: all that fits into a line, json: the document as the proxy gives it, "
        "or name: numbers alone.",
    ),
]


def deliveries(
    *,
    task_id: TaskId,
    shown_as: DeliveryFormat = ListFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """List who is told of a task's end by callbacks, and how far that has come.

        asyncapiproxy task deliveries 01a20d27-4842-7030-8580-6a45b8f6a9d0

    Exits with 0 if there is such a task, whoever is told; 1 if not; 2 where no proxy answers.
    """
    with open_task(task_id, url=url, token=token, shown_as=shown_as) as task:
        found = task.deliveries()
        if shown_as is ListFormat.JSON:
            show_json({"deliveries": [delivery.document for delivery in found]})
        else:
            _show_deliveries(found, shown_as)


def redeliver(
    *,
    task_id: TaskId,
    delivery: Annotated[
        int | None,
        typer.Argument(
            metavar="[DELIVERY]",
            min=1,
            help="Its number in `task deliveries`; may be left out where there is but one.",
            show_default=False,
        ),
    ] = None,
    shown_as: DeliveryFormat = ListFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Tell a task's end once more, as one of its deliveries has told it, and under the same id.

        asyncapiproxy task redeliver 01a20d27-4842-7030-8580-6a45b8f6a9d0 1

    Exits with 0 if there is a new delivery, 1 if there is no such task or delivery, 2 where the
    task has several and none is named, or no proxy answers.
    """
    with open_task(task_id, url=url, token=token, shown_as=shown_as) as task:
        added = task.redeliver(_only_one(task.deliveries()) if delivery is None else delivery)
        if shown_as is ListFormat.JSON:
            show_json(added.document)
        else:
            _show_deliveries([added], shown_as)


def _show_deliveries(found: Sequence[Delivery], shown_as: ListFormat) -> None:
    if shown_as is ListFormat.NAME:
        for delivery in found:
            typer.echo(delivery.number)
    else:
        from asyncapiproxy.task.display import (  # noqa: PLC0415
            deliveries_view,
            wide_deliveries_view,
        )

        view = deliveries_view if shown_as is ListFormat.TEXT else wide_deliveries_view
        show_list(view(delivery.document for delivery in found), shown_as)


def _only_one(found: Sequence[Delivery]) -> int:
    """The number of the one delivery there is, whatever was told once more already."""
    firsts: dict[str, Delivery] = {}
    for delivery in found:
        firsts.setdefault(delivery.id, delivery)
    if len(firsts) == 1:
        return found[0].number
    if not firsts:
        show_error("Nobody is told of this task's end: it has no delivery.")
        raise typer.Exit(ExitCode.FAILED)
    lines = "\n".join(f"  {one.number}  {one.event}, {one.url}" for one in firsts.values())
    show_error(f"The task has several deliveries. Name one by its number:\n{lines}")
    raise typer.Exit(ExitCode.USAGE)
