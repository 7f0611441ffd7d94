"""`asyncapiproxy operations`: what a proxy serves and pauses of it, by HTTP; and their file."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncapiproxy.lazy_command import needing_services
from asyncapiproxy.proxy_documents import EXITS, place, show_answer
from asyncapiproxy.task.completion import complete_operations
from asyncapiproxy.task.quick_client import LOCAL, command_for
from asyncapiproxy.task.session import (
    AsDocument,
    DocumentFormat,
    ExitCode,
    Format,
    TaskFormat,
    Token,
    Url,
    console,
    open_proxy,
    show_error,
)
from asyncapiproxy.typer_app import new_app

if TYPE_CHECKING:
    from rich.console import RenderableType

    from asyncapiproxy.client.declared_operation import DeclaredOperation
    from asynctasks.operations.operation import Operations

operations_app = new_app(
    help=f"""See what a proxy serves, pause and resume it; `queue list` shows what waits.

    `import`, `check` and `schema` are for the file of operations, and ask no proxy.

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

        console().print(declared_view(found, command=command_for(url)))


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


@operations_app.command(name="check")
def check_operations(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The operations file.")],
    run: Annotated[
        bool,
        typer.Option(
            "--run",
            help="Say also what an executor with this environment would lack to run them: "
            "variables, modules of handlers, certificates, keys.",
        ),
    ] = False,
) -> None:
    """Read an operations file as proxies and executors do, and say all that is wrong with it.

        asyncapiproxy operations check operations.yaml

    Exits with 0 if it can be used, 1 if not.
    """
    with needing_services():
        from asynctasks.logs import configure_logging  # noqa: PLC0415 - an extra
        from asynctasks.operations.operations_file import load_operations  # noqa: PLC0415
    from asynctasks.errors import OperationsFileError  # noqa: PLC0415 - seldom needed

    configure_logging(level="info", log_format="text")
    try:
        operations = load_operations(file)
        if run:
            _check_runnable(operations)
    except OperationsFileError as error:
        show_error(str(error))
        raise typer.Exit(ExitCode.FAILED) from error
    console().print(f"{file}: can be used", soft_wrap=True, markup=False)
    for operation in operations.values():
        limits = f", limits {', '.join(operation.limits)}" if operation.limits else ""
        console().print(
            f"  {operation.name}: {operation.method} {operation.path}, queue {operation.queue}"
            f"{limits}",
            soft_wrap=True,
            markup=False,
        )


def _check_runnable(operations: Operations) -> None:
    with needing_services():
        from asyncexecutor.runnables import check_runnable  # noqa: PLC0415 - an extra
    import os  # noqa: PLC0415 - seldom needed

    from asynctasks.errors import OperationsFileError  # noqa: PLC0415 - seldom needed

    faults: list[str] = []
    try:
        check_runnable(operations.values(), os.environ)
    except OperationsFileError as error:
        faults.append(str(error))
    sealed = [name for name, operation in operations.items() if operation.needs_sealing]
    if sealed and not os.environ.get("ASYNCAPIPROXY_SEALING_KEYS"):
        faults.append(f"{', '.join(sealed)}: ASYNCAPIPROXY_SEALING_KEYS is not set")
    if faults:
        raise OperationsFileError("\n".join(faults))


@operations_app.command(name="import")
def import_operations(
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="The OpenAPI document, 3.0 or 3.1: a file or an address."
        ),
    ],
    wanted: Annotated[
        list[str] | None,
        typer.Option(
            "--operation",
            metavar="ID",
            help="Of these alone, several times: an operationId, or `POST /path`.",
            show_default=False,
        ),
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where the upstream is, in place of the document's servers: a URL, or `{NAME}` "
            "of a variable in the executor's environment.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Below which path the proxy serves them: `/billing`.",
            show_default=False,
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the operations file is written, which must not exist yet; by default to "
            "standard output.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make an operations file of the upstream's own OpenAPI document.

        asyncapiproxy operations import openapi.yaml --output operations.yaml

    What the file cannot say is told on standard error, by its place in the document; the rest is a
    file that can be used. Exits with 0, or with 1 where nothing can be made of the document.
    """
    with needing_services():
        from asyncapiproxy.openapi_import.importing import imported  # noqa: PLC0415 - an extra
        from asyncapiproxy.openapi_import.source import read_source  # noqa: PLC0415 - an extra
    from asyncapiproxy.openapi_import.remarks import DocumentError  # noqa: PLC0415
    from asyncapiproxy.shown_text import printable  # noqa: PLC0415 - Rich takes its time

    try:
        made = imported(
            read_source(source),
            source=source,
            wanted=wanted or (),
            upstream=upstream,
            prefix=prefix,
        )
        if output is not None:
            _write_new(output, made.text)
    except DocumentError as error:
        show_error(str(error))
        raise typer.Exit(ExitCode.FAILED) from error
    if output is None:
        typer.echo(made.text, nl=False)
    told = console(stderr=True)
    for remark in made.remarks:
        told.print(printable(str(remark)), soft_wrap=True, markup=False)
    count = len(made.operations)
    counted = f"{count} operation{'s' * (count != 1)}"
    left_out = f", {made.left_out} left out" if made.left_out else ""
    told.print(f"{output or 'the file'}: {counted}{left_out}", soft_wrap=True, markup=False)


def _write_new(file: Path, text: str) -> None:
    """Raise DocumentError where it exists: a person may have worked on it."""
    from asyncapiproxy.openapi_import.remarks import DocumentError  # noqa: PLC0415 - seldom needed

    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise DocumentError(f"{file}: cannot be written: {error.strerror}") from error


@operations_app.command(name="schema")
def show_schema() -> None:
    """Print the JSON Schema of operations files, by which an editor completes and checks them.

        asyncapiproxy operations schema > operations.schema.json

    VS Code and others read it where the file begins with
    `# yaml-language-server: $schema=operations.schema.json`.
    """
    with needing_services():
        from asynctasks.operations.file_schema import file_schema  # noqa: PLC0415 - an extra
    typer.echo(_json(file_schema()))


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
