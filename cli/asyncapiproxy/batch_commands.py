"""`asyncapiproxy batch`: how far one action on many tasks has come, by HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncapiproxy.proxy_documents import EXITS, place, show_answer
from asyncapiproxy.task.quick_client import LOCAL
from asyncapiproxy.task.session import AsDocument, DocumentFormat, Token, Url
from asyncapiproxy.typer_app import new_app

if TYPE_CHECKING:
    from rich.console import RenderableType

batch_app = new_app(
    help=f"""See how far one action on many tasks has come, and cancel it.

    `task cancel`, `task retry` and `task delete` without an id ask for one.
    {EXITS}"""
)
BatchId = Annotated[str, typer.Argument(metavar="ID", help="The batch's id.")]


@batch_app.command(name="list")
def list_batches(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 20,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """List the batches that you have asked for, the newest first.

    asyncapiproxy batch list
    """
    path = f"/batches?page_size={limit}"
    show_answer("GET", path, _batches, shown_as=shown_as, url=url, token=token)


@batch_app.command(name="get")
def get_batch(
    *,
    batch_id: BatchId,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Show a batch: where it stands, how many tasks it has found, and what came of them.

    asyncapiproxy batch get 01a20d27-4842-7030-8580-6a45b8f6a9d0
    """
    show_answer("GET", place("batches", batch_id), _batch, shown_as=shown_as, url=url, token=token)


@batch_app.command(name="cancel")
def cancel_batch(
    *,
    batch_id: BatchId,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Let a batch change no further task. What was done until now stays.

    asyncapiproxy batch cancel 01a20d27-4842-7030-8580-6a45b8f6a9d0
    """
    path = place("batches", batch_id, "cancel")
    show_answer("POST", path, _batch, shown_as=shown_as, url=url, token=token)


# Rich is imported where something is shown by it.
def _batches(page: Any) -> RenderableType:
    from asyncapiproxy.task.display import batches_view  # noqa: PLC0415

    return batches_view(page["batches"])


def _batch(batch: Any) -> RenderableType:
    from asyncapiproxy.task.display import batch_view  # noqa: PLC0415

    return batch_view(batch)
