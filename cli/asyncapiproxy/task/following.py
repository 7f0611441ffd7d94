"""Follows a task until it is done, and shows a person meanwhile that it does."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from asyncapiproxy.task.session import console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncapiproxy.client.task_handle import TaskHandle
    from asyncapiproxy.client.task_state import TaskState

LONG_POLL_SECONDS = 20.0
REFRESHES_PER_SECOND = 8


def follow(task: TaskHandle, *, seconds: float | None = None) -> Iterator[TaskState]:
    """Where the task stands, then each change that is seen, until it is done or the time is over.

    A proxy that is away is waited for as long as the client is patient.
    """
    ends = math.inf if seconds is None else time.monotonic() + seconds
    seen = task.state
    yield seen
    while not task.is_done:
        left = ends - time.monotonic()
        if left <= 0:
            return
        if left < 1:
            # A proxy cannot be asked to wait for less.
            time.sleep(left)
        state = task.refresh(wait=min(left, LONG_POLL_SECONDS))
        if state is not seen:
            seen = state
            yield seen


def follow_shown(task: TaskHandle, *, seconds: float | None, is_shown: bool = True) -> TaskState:
    """The task when it is done or the time is over; on a terminal, by stderr, one sees it wait."""
    *_, last = (
        _shown(task, follow(task, seconds=seconds)) if is_shown else follow(task, seconds=seconds)
    )
    return last


def _shown(task: TaskHandle, states: Iterator[TaskState]) -> Iterator[TaskState]:
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield from states
        return
    from rich.live import Live  # noqa: PLC0415 - only a terminal needs it

    from asyncapiproxy.task.display import waiting_view  # noqa: PLC0415 - likewise

    began = time.monotonic()
    with Live(
        get_renderable=lambda: waiting_view(task.state.document, seconds=time.monotonic() - began),
        console=screen,
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=True,
    ):
        yield from states
