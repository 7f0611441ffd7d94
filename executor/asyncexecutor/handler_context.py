"""What a handler may know of the attempt that it makes, and tell of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asynctasks.statements.claims import Progress

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime
    from uuid import UUID

    from asyncexecutor.attempt_bodies import RequestBody
    from asyncexecutor.progress import ProgressNotes
    from asyncexecutor.runner import Attempt

MOST_PERCENT = 100
MESSAGE_CHARACTERS = 1_000


class HandlerContext:
    """The attempt at a task that a handler makes: given to one that takes a parameter `context`."""

    __slots__ = (
        "_is_over",
        "_notes",
        "attempt",
        "body",
        "deadline",
        "principal",
        "task_id",
        "tenant",
    )

    def __init__(self, attempt: Attempt, notes: ProgressNotes) -> None:
        self.task_id: UUID = attempt.task_id
        self.attempt: int = attempt.number
        """1 for the first. Executors that went in the middle of an attempt count too."""
        self.principal: str = attempt.principal
        """Who submitted the task; empty where callers are not told apart."""
        self.tenant: str = attempt.tenant
        """The organisation of whom submitted it; empty where that has none."""
        self.deadline: datetime | None = attempt.deadline
        """When the task expires, in UTC; None where it never does."""
        self.body: RequestBody | None = attempt.body
        """What the caller sent, of an operation with a `body`: `await context.body.read()`."""
        self._notes = notes
        self._is_over = False

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for this attempt any more.

        The task was cancelled or has expired, the attempt took too long, or the executor has to
        leave. A coroutine is cancelled as well; a function in a thread has to look here.
        """
        return self._is_over

    def progress(self, percent: float | None, message: str | None = None) -> Told:
        """Tell how far the task has come, from 0 to 100, and what it does now.

        It replaces what was told before, and is written within a second. A coroutine may await
        it, which lets others have their turn; a function in a thread just calls it. Raises
        ValueError, TypeError.
        """
        told = Progress(self.task_id, self.attempt, _whole(percent), _one_text(message))
        if not self._is_over:
            self._notes.note(told)
        return Told()

    def end(self) -> None:
        """Say that the attempt is over: what is told from now on is not heard."""
        self._is_over = True


class Told:
    """That progress has been told: there is nothing to wait for."""

    __slots__ = ()

    def __await__(self) -> Generator[None]:
        """Let others have their turn."""
        return asyncio.sleep(0).__await__()


def _whole(percent: float | None) -> int | None:
    if percent is None:
        return None
    if not 0 <= percent <= MOST_PERCENT:
        raise ValueError(f"progress is a number from 0 to 100, not {percent!r}")
    return int(percent)


def _one_text(message: str | None) -> str | None:
    """As the database can store it."""
    if message is None:
        return None
    if not isinstance(message, str):  # pyright: ignore[reportUnnecessaryIsInstance] - a handler's
        raise TypeError(f"a message is text, not {type(message).__name__}")
    text = message[:MESSAGE_CHARACTERS].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode(errors="replace").decode()
