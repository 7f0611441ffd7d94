"""Follows a task until it is done."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from asyncapiproxy.task.proxy_client import ProblemError, ProxyUnreachableError, SeenTask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncapiproxy.task.proxy_client import ProxyClient

LONG_POLL_SECONDS = 20.0
PATIENCE_SECONDS = 30.0
"""How long a proxy may be away while it is restarted or replaced."""
AWAY_PAUSE_SECONDS = 1.0


def follow(
    client: ProxyClient, seen: SeenTask, *, seconds: float | None = None
) -> Iterator[SeenTask]:
    """Yield the task, then each version of it that is seen, until it is done or the time is over.

    Raises what the client raises; a proxy that is away is waited for, PATIENCE_SECONDS.
    """
    ends = float("inf") if seconds is None else time.monotonic() + seconds
    last_answer = time.monotonic()
    yield seen
    while not seen.is_done:
        left = ends - time.monotonic()
        if left <= 0:
            return
        pause_seconds = AWAY_PAUSE_SECONDS
        try:
            look = client.look(seen.id, after=seen, wait_seconds=min(left, LONG_POLL_SECONDS))
        except (ProxyUnreachableError, ProblemError) as error:
            if not _is_away(error) or time.monotonic() - last_answer > PATIENCE_SECONDS:
                raise
        else:
            last_answer = time.monotonic()
            pause_seconds = look.pause_seconds
            if look.task is not None:
                seen = look.task
                yield seen
        if not seen.is_done:
            time.sleep(max(0.0, min(pause_seconds, ends - time.monotonic())))


def _is_away(error: ProxyUnreachableError | ProblemError) -> bool:
    return (
        isinstance(error, ProxyUnreachableError)
        or error.problem.get("status") == HTTPStatus.SERVICE_UNAVAILABLE
    )
