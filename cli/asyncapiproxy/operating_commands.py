"""`asyncapiproxy queue`, `limit` and `operations`: what is held and why, and pauses, by HTTP."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncapiproxy.operating_display import limit_view, limits_view, operation_view, queues_view
from asyncapiproxy.task.session import LOCAL, AsJson, Token, Url, console, open_proxy
from asyncapiproxy.typer_app import new_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from asyncapiproxy.task.proxy_client import Seen

_EXITS = """The proxy is the one at `--url`, or at ASYNCAPIPROXY_URL, or at http://localhost:8080.
    Exit codes: **0**; **1** where the proxy answered with a problem; **2** for wrong usage, or
    where no proxy answers."""
queue_app = new_app(
    help=f"""See what waits and runs on each queue, pause and resume it.

    {_EXITS}"""
)
limit_app = new_app(
    help=f"""See what limits hold, change them without a rollout, pause and resume them.

    {_EXITS}"""
)
operations_app = new_app(
    help=f"""Pause and resume operations; `queue list` shows them.

    {_EXITS}"""
)
FILE = "file"
"""In place of a number: what the operations file says is to hold again."""

Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
Limit = Annotated[str, typer.Argument(metavar="LIMIT", help="The limit's name.")]
Operation = Annotated[str, typer.Argument(metavar="OPERATION", help="The operation's name.")]


@queue_app.command(name="list")
def list_queues(*, as_json: AsJson = False, url: Url = LOCAL, token: Token = None) -> None:
    """List the queues and their operations: what waits, is held and runs, and what is paused.

    asyncapiproxy queue list
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.queues(), lambda seen: queues_view(seen["queues"]), as_json=as_json)


@queue_app.command(name="pause")
def pause_queue(
    *, name: Queue, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """Let none of its tasks start until it is resumed. What runs goes on, calls are taken.

    asyncapiproxy queue pause clients
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.operate("queues", name, "pause"), _one_queue, as_json=as_json)


@queue_app.command(name="resume")
def resume_queue(
    *, name: Queue, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """Let its tasks start again.

    asyncapiproxy queue resume clients
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.operate("queues", name, "resume"), _one_queue, as_json=as_json)


@operations_app.command(name="pause")
def pause_operation(
    *, name: Operation, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """Let none of its tasks start until it is resumed. What runs goes on, calls are taken.

    asyncapiproxy operations pause create-client
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.operate("operations", name, "pause"), operation_view, as_json=as_json)


@operations_app.command(name="resume")
def resume_operation(
    *, name: Operation, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """Let its tasks start again.

    asyncapiproxy operations resume create-client
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.operate("operations", name, "resume"), operation_view, as_json=as_json)


@limit_app.command(name="list")
def list_limits(*, as_json: AsJson = False, url: Url = LOCAL, token: Token = None) -> None:
    """List the limits: how much of each is used, what it holds, and whether its upstream is up.

    asyncapiproxy limit list
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.limits(), lambda seen: limits_view(seen["limits"]), as_json=as_json)


@limit_app.command(name="show")
def show_limit(
    *, name: Limit, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """Show a limit: what it bounds, in the file and now, and what of that is used.

    asyncapiproxy limit show crm
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.limit(name), limit_view, as_json=as_json)


@limit_app.command(name="set")
def set_limit(
    *,
    name: Limit,
    concurrency: Annotated[
        str | None, typer.Option(metavar="N|file", help="How many attempts run at once.")
    ] = None,
    rate_per_second: Annotated[
        str | None, typer.Option(metavar="N|file", help="How many start in a second.")
    ] = None,
    burst: Annotated[
        str | None, typer.Option(metavar="N|file", help="How many start at once after a pause.")
    ] = None,
    as_json: AsJson = False,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Set what it bounds for all executors, in place of what the operations file says.

        asyncapiproxy limit set crm --concurrency 10

        asyncapiproxy limit set crm --concurrency file

    It holds until it is taken back by `file`; what is not given stays as it is.
    """
    given = {
        "concurrency": _number("--concurrency", concurrency, int),
        "ratePerSecond": _number("--rate-per-second", rate_per_second, float),
        "burst": _number("--burst", burst, int),
    }
    change = {key: _of_file(value) for key, value in given.items() if value is not None}
    if not change:
        raise typer.BadParameter("give --concurrency, --rate-per-second or --burst")
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.change_limit(name, change), limit_view, as_json=as_json)


@limit_app.command(name="pause")
def pause_limit(
    *, name: Limit, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """Let nothing that keeps it start until it is resumed. What runs goes on.

    asyncapiproxy limit pause crm
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.operate("limits", name, "pause"), limit_view, as_json=as_json)


@limit_app.command(name="resume")
def resume_limit(
    *, name: Limit, as_json: AsJson = False, url: Url = LOCAL, token: Token = None
) -> None:
    """Let what keeps it start again, as it bounds that.

    asyncapiproxy limit resume crm
    """
    with open_proxy(url, token=token, as_json=as_json) as client:
        _show(client.operate("limits", name, "resume"), limit_view, as_json=as_json)


def _show(seen: Seen, view: Callable[[Any], RenderableType], *, as_json: bool) -> None:
    if as_json:
        typer.echo(seen.text)
    else:
        console().print(view(seen.document))


def _one_queue(queue: Any) -> RenderableType:
    return queues_view([queue])


def _number(option: str, text: str | None, kind: type[int | float]) -> float | str | None:
    if text is None or text == FILE:
        return text
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise typer.BadParameter(f"expected a number or `{FILE}`", param_hint=option)
    return value


def _of_file(value: float | str) -> float | None:
    return None if isinstance(value, str) else value
