"""`asyncapiproxy queue` and `limit`: what is held and why, and pauses, by HTTP."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncapiproxy.proxy_documents import EXITS, place, show_answer
from asyncapiproxy.task.quick_client import LOCAL
from asyncapiproxy.task.session import AsDocument, DocumentFormat, Token, Url
from asyncapiproxy.typer_app import new_app

if TYPE_CHECKING:
    from rich.console import RenderableType

queue_app = new_app(
    help=f"""See what waits and runs on each queue, pause and resume it.

    {EXITS}"""
)
limit_app = new_app(
    help=f"""See what limits hold, change them without a rollout, pause and resume them.

    {EXITS}"""
)
FILE = "file"
"""In place of a number: what the operations file says is to hold again."""
MOST = 2**63
"""JSON is sent with no larger numbers."""

Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
Limit = Annotated[str, typer.Argument(metavar="LIMIT", help="The limit's name.")]


@queue_app.command(name="list")
def list_queues(
    *, shown_as: AsDocument = DocumentFormat.TEXT, url: Url = LOCAL, token: Token = None
) -> None:
    """List the queues and their operations: what waits, is held and runs, and what is paused.

    asyncapiproxy queue list
    """
    show_answer("GET", "/queues", _queues, shown_as=shown_as, url=url, token=token)


@queue_app.command(name="pause")
def pause_queue(
    *,
    name: Queue,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Let none of its tasks start until it is resumed. What runs goes on, calls are taken.

    asyncapiproxy queue pause clients
    """
    show_answer(
        "POST", place("queues", name, "pause"), _one_queue, shown_as=shown_as, url=url, token=token
    )


@queue_app.command(name="resume")
def resume_queue(
    *,
    name: Queue,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Let its tasks start again.

    asyncapiproxy queue resume clients
    """
    show_answer(
        "POST", place("queues", name, "resume"), _one_queue, shown_as=shown_as, url=url, token=token
    )


@limit_app.command(name="list")
def list_limits(
    *, shown_as: AsDocument = DocumentFormat.TEXT, url: Url = LOCAL, token: Token = None
) -> None:
    """List the limits: how much of each is used, what it holds, and whether its upstream is up.

    asyncapiproxy limit list
    """
    show_answer("GET", "/limits", _limits, shown_as=shown_as, url=url, token=token)


@limit_app.command(name="show")
def show_limit(
    *,
    name: Limit,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Show a limit: what it bounds, in the file and now, and what of that is used.

    asyncapiproxy limit show crm
    """
    show_answer("GET", place("limits", name), _limit, shown_as=shown_as, url=url, token=token)


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
    shown_as: AsDocument = DocumentFormat.TEXT,
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
    show_answer(
        *("PATCH", place("limits", name), _limit),
        json=change,
        shown_as=shown_as,
        url=url,
        token=token,
    )


@limit_app.command(name="pause")
def pause_limit(
    *,
    name: Limit,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Let nothing that keeps it start until it is resumed. What runs goes on.

    asyncapiproxy limit pause crm
    """
    show_answer(
        "POST", place("limits", name, "pause"), _limit, shown_as=shown_as, url=url, token=token
    )


@limit_app.command(name="resume")
def resume_limit(
    *,
    name: Limit,
    shown_as: AsDocument = DocumentFormat.TEXT,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Let what keeps it start again, as it bounds that.

    asyncapiproxy limit resume crm
    """
    show_answer(
        "POST", place("limits", name, "resume"), _limit, shown_as=shown_as, url=url, token=token
    )


# Rich is imported where something is shown by it.
def _queues(seen: Any) -> RenderableType:
    from asyncapiproxy.operating_display import queues_view  # noqa: PLC0415

    return queues_view(seen["queues"])


def _one_queue(queue: Any) -> RenderableType:
    from asyncapiproxy.operating_display import queues_view  # noqa: PLC0415

    return queues_view([queue])


def _limits(seen: Any) -> RenderableType:
    from asyncapiproxy.operating_display import limits_view  # noqa: PLC0415

    return limits_view(seen["limits"])


def _limit(limit: Any) -> RenderableType:
    from asyncapiproxy.operating_display import limit_view  # noqa: PLC0415

    return limit_view(limit)


def _number(option: str, text: str | None, kind: type[int | float]) -> float | str | None:
    if text is None or text == FILE:
        return text
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if abs(value) < MOST:
        return value
    what = "a whole number" if kind is int else "a number"
    is_large = abs(value) >= MOST  # NaN is neither
    told = "the number is too large" if is_large else f"expected {what} or `{FILE}`"
    raise typer.BadParameter(told, param_hint=option)


def _of_file(value: float | str) -> float | None:
    return None if isinstance(value, str) else value
