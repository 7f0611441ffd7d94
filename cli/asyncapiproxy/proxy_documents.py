"""Shows a document of the proxy, for the commands that need no more than one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer

from asyncapiproxy.task.quick_client import WHERE
from asyncapiproxy.task.session import DocumentFormat, console, open_proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

EXITS = f"""{WHERE}
    Exit codes: **0**; **1** where the proxy answered with a problem; **2** for wrong usage, or
    where no proxy answers."""


def show_answer(
    method: str,
    path: str,
    view: Callable[[Any], RenderableType],
    *,
    shown_as: DocumentFormat,
    url: str,
    token: str | None,
    json: Any = None,
) -> None:
    """What the proxy answers, as it is or as the view has it."""
    is_json = shown_as is DocumentFormat.JSON
    with open_proxy(url, token=token, is_json=is_json) as client:
        answer = client.ask(method, path, json=json)
        if is_json:
            typer.echo(answer.text)
        else:
            console().print(view(answer.json()))


def place(kind: str, name: str, action: str = "") -> str:
    """The path of one of the queues, operations or limits, or of what can be done with it."""
    path = f"/{kind}/{quote(name, safe='')}"
    return f"{path}/{action}" if action else path
