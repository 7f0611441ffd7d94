"""`asyncapiproxy operations`: what a proxy serves, and pauses of it, by HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncapiproxy.proxy_documents import EXITS, place, show_answer
from asyncapiproxy.task.completion import complete_operations
from asyncapiproxy.task.quick_client import LOCAL
from asyncapiproxy.task.session import (
    AsDocument,
    DocumentFormat,
    Format,
    TaskFormat,
    Token,
    Url,
    console,
    open_proxy,
)
from asyncapiproxy.typer_app import new_app

if TYPE_CHECKING:
    from rich.console import RenderableType

    from asyncapiproxy.client.declared_operation import DeclaredOperation

operations_app = new_app(
    help=f"""See what a proxy serves, pause and resume it; `queue list` shows what waits.

    {EXITS}"""
)
Operation = Annotated[
    str,
    typer.Argument(
        metavar="OPERATION", help="The operation's name.", autocompletion=complete_operations
    ),
]


@operations_app.command(name="list")
def list_operations(
    *, shown_as: TaskFormat = Format.TEXT, url: Url = LOCAL, token: Token = None
) -> None:
    """List what the proxy serves, with the call of each.

    asyncapiproxy operations list
    """
    with open_proxy(url, token=token, is_json=shown_as is Format.JSON) as client:
        found = client.operations().values()
    if shown_as is Format.NAME:
        typer.echo("\n".join(operation.name for operation in found))
    elif shown_as is Format.JSON:
        typer.echo(_json([_document(operation) for operation in found]))
    else:
        from asyncapiproxy.operations_display import operations_view  # noqa: PLC0415

        console().print(operations_view(found))


@operations_app.command(name="show")
def show_operation(
    *,
    name: Operation,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Show an operation: its call, its arguments, and how to submit it.

    asyncapiproxy operations show create-client
    """
    with open_proxy(url, token=token, is_json=shown_as is DocumentFormat.JSON) as client:
        found = client.operation(name)
    if shown_as is DocumentFormat.JSON:
        typer.echo(_json(_document(found)))
    else:
        from asyncapiproxy.operations_display import declared_view  # noqa: PLC0415

        console().print(declared_view(found))


@operations_app.command(name="pause")
def pause_operation(
    *,
    name: Operation,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Let none of its tasks start until it is resumed. What runs goes on, calls are taken.

    asyncapiproxy operations pause create-client
    """
    show_answer(
        "POST",
        place("operations", name, "pause"),
        _operation,
        shown_as=shown_as,
        url=url,
        token=token,
    )


@operations_app.command(name="resume")
def resume_operation(
    *,
    name: Operation,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Let its tasks start again.

    asyncapiproxy operations resume create-client
    """
    show_answer(
        "POST",
        place("operations", name, "resume"),
        _operation,
        shown_as=shown_as,
        url=url,
        token=token,
    )


def _operation(operation: Any) -> RenderableType:
    from asyncapiproxy.operating_display import operation_view  # noqa: PLC0415 - imports Rich

    return operation_view(operation)


def _document(operation: DeclaredOperation) -> dict[str, Any]:
    return {
        "name": operation.name,
        "summary": operation.summary,
        "method": operation.method,
        "path": operation.path,
        "arguments": operation.schemas,
        "required": sorted(operation.required),
        "contentTypes": operation.content_types,
    }


def _json(value: Any) -> str:
    from asynctasks.json_values import write_json  # noqa: PLC0415 - seldom needed

    return write_json(value).decode()
