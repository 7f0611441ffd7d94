"""What a shell offers after Tab: names and ids that the proxy knows now."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from asyncapiproxy.task.quick_client import LOCAL, quick_client, reached
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from asyncapiproxy.client.client import Client

STATUSES = ("queued", "running", "succeeded", "failed", "cancelled", "expired")
ANSWER_SECONDS = 2.0
"""Who has pressed Tab waits no longer."""
MOST_IDS = 20


def complete_statuses(incomplete: str) -> list[str]:
    """The statuses that begin so."""
    return [status for status in STATUSES if status.startswith(incomplete)]


def complete_operations(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """The operations that begin so, with what each does."""
    with _asking(ctx) as client:
        found = client.operations()
        return [(name, op.summary) for name, op in found.items() if name.startswith(incomplete)]
    return []


def complete_arguments(ctx: Any, incomplete: str) -> list[str]:
    """`name=` for each argument of the operation that was typed and is not given yet."""
    with _asking(ctx) as client:
        declared = client.operations()[ctx.params["operation"]]
        given = {text.partition("=")[0].removesuffix(":") for text in ctx.params["arguments"] or ()}
        names = (f"{name}=" for name in declared.schemas if name not in given)
        return [name for name in names if name.startswith(incomplete)]
    return []


def complete_ids(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """The newest tasks whose ids begin so, with what each is."""
    with _asking(ctx) as client:
        return [
            (task.id, f"{task.operation}, {task.status}") for task in _begins(client, incomplete)
        ]
    return []


def _begins(client: Client, incomplete: str) -> Iterator[Any]:
    from asyncapiproxy.task.task_ids import tasks_from  # noqa: PLC0415 - imports the client

    return iter(tasks_from(client, incomplete, most=MOST_IDS))


@contextmanager
def _asking(ctx: Any) -> Generator[Client]:
    """A client of the proxy that the command line names; nothing is offered where none answers."""
    url, token = ctx.params.get("url") or LOCAL, ctx.params.get("token")
    try:
        with (
            reached(url) as address,
            quick_client()(
                address, token=token, patience_seconds=0, answer_seconds=ANSWER_SECONDS
            ) as client,
        ):
            yield client
    except (AsyncApiProxyError, KeyError):
        # There is nobody to tell: the shell shows what a completion writes among the offers.
        return
