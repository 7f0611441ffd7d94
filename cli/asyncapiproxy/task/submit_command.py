"""`asyncapiproxy task submit`: a task from what a person types, and its answer."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from asyncapiproxy.task.completion import complete_arguments, complete_operations
from asyncapiproxy.task.quick_client import LOCAL, command_for
from asyncapiproxy.task.session import (
    Format,
    TaskFormat,
    Token,
    Url,
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
from asyncapiproxy.task.typed_options import deadline_typed, labels_typed, seconds_typed

if TYPE_CHECKING:
    from collections.abc import Generator

    from asyncapiproxy.client.client import Client
    from asyncapiproxy.client.task_handle import TaskHandle

PATIENCE_SECONDS = 30.0
"""How long a proxy may be away while it is restarted or replaced."""


def submit(
    *,
    operation: Annotated[
        str,
        typer.Argument(
            metavar="OPERATION",
            help="The operation's name: create-client.",
            autocompletion=complete_operations,
        ),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]…",
            help="Its arguments. NAME:=JSON takes raw JSON.",
            autocompletion=complete_arguments,
        ),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long to wait, 30 or 5m; else until it is done."),
    ] = None,
    respond_async: Annotated[
        bool, typer.Option("--async", help="Do not wait: exit when the task is accepted.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="An Idempotency-Key: a repeat joins the first task."),
    ] = None,
    delay: Annotated[
        str | None, typer.Option(metavar="TIME", help="When its first attempt may begin: 30s, 2h.")
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="By when it has to finish: 90s, 1h, or an instant."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="By which it can be listed; several times."),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The group that it is one of, to be found by."),
    ] = None,
    priority: Annotated[
        int | None, typer.Option(min=0, max=9, help="0 to 9, where limits hold tasks back.")
    ] = None,
    callback: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Who is told of its end: a URL, or a name of the site's."),
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
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write the answer's body, byte by byte."),
    ] = None,
    shown_as: TaskFormat = Format.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Submit a task, wait for its answer and show the task.

    A value is read as the operation's schema says: text, number or boolean. For example

        asyncapiproxy task submit create-client email=ann@example.com name=Ann

        asyncapiproxy task submit create-client email=slow+3@example.com name=Sam --wait 1

        id=$(asyncapiproxy task submit create-client --arguments ann.json --async -o name)

        asyncapiproxy task submit scan --body invoice.pdf --label team=a --output found.json

    Exits with 0 if the task succeeded (with `--async`: was accepted), 1 if it failed, was
    cancelled or expired or if the proxy refused it, 2 for wrong usage or where no proxy answers,
    3 if it is still running when the wait ends, 130 after Ctrl-C, which leaves the task alone.
    Then `task watch` waits on.
    """
    if respond_async and wait is not None:
        raise typer.BadParameter("--wait and --async exclude each other", param_hint="--async")
    seconds = 0.0 if respond_async else seconds_typed(wait, "--wait")
    delay_seconds, ends = seconds_typed(delay, "--delay"), deadline_typed(deadline)
    labels = labels_typed(label or [])
    with open_proxy(url, token=token, is_json=shown_as is Format.JSON) as client:
        declared = client.operation(operation)
        given = {} if arguments_file is None else arguments_from_json(_read(arguments_file))
        given |= arguments_from_text(arguments or [], declared.schemas)
        with (
            typed_body(declared, body, content_type=content_type) as typed,
            _keyed(client, key or str(uuid4())) as made,
        ):
            task = client.submit(
                operation,
                given,
                wait=0,
                key=made,
                delay=delay_seconds,
                deadline=ends,
                priority=priority,
                labels=labels,
                batch=batch,
                callback=callback,
                body=typed and typed.content,
                content_type="" if typed is None else typed.content_type,
            )
        finish(task, seconds=seconds, shown_as=shown_as, url=url, output=output)
    raise typer.Exit(exit_code(task.state, is_accepted_enough=respond_async))


def finish(
    task: TaskHandle,
    *,
    seconds: float | None,
    shown_as: Format,
    url: str,
    output: Path | None = None,
) -> None:
    """Wait for the task and show it; one that is left by Ctrl-C is named."""
    from asyncapiproxy.task.following import follow_shown  # noqa: PLC0415 - imports the client

    is_shown = shown_as is Format.TEXT and not task.is_done and seconds != 0
    if is_shown:
        hint(f"task {task.id}")
    try:
        follow_shown(task, seconds=seconds, is_shown=is_shown)
        if not task.state.text:
            task.refresh()
    except KeyboardInterrupt:
        hint(f"Left. The task goes on: {command_for(url)} task watch {task.id}")
        raise
    show(task.state, shown_as=shown_as)
    if output is not None and task.status == "succeeded":
        with task.response() as response:
            write_answer(response.iter_raw(), output)
    if not task.is_done and shown_as is Format.TEXT:
        hint(f"The task goes on: {command_for(url)} task watch {task.id}")


@contextmanager
def _keyed(client: Client, key: str) -> Generator[str]:
    """The key of a call, told where nobody knows what came of it."""
    from asyncapiproxy.client.errors import ProxyUnreachableError  # noqa: PLC0415 - see session

    client.patience_seconds = PATIENCE_SECONDS
    try:
        yield key
    except (ProxyUnreachableError, KeyboardInterrupt):
        hint(
            f"Whether there is a task is not known; the same with --key {key} joins it or makes it."
        )
        raise


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ArgumentTextError(f"--arguments: {file}: {reason}") from error
