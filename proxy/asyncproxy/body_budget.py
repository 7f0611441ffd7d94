"""How many bytes of bodies a proxy holds at a time: what came, until it is stored or refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from asyncproxy.metrics import HELD_BODY_BYTES
from asyncproxy.problems import OverloadedError

if TYPE_CHECKING:
    from types import TracebackType


class BodyBudget:
    """What all calls that are on their way into the task database may hold together.

    Nobody waits for room: two who each held a half would wait for ever.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held = 0
        self.reading_large = asyncio.Lock()
        """As values a body takes 25 times its text: only one large one is read at a time."""

    def hold(self) -> HeldBody:
        """Enter it to read a body; leaving releases what is still held."""
        return HeldBody(self)


class HeldBody:
    """One call's part of the budget."""

    __slots__ = ("_budget", "_bytes")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def add(self, size: int) -> None:
        """Hold so many bytes more; raises OverloadedError, but takes one that is alone."""
        budget = self._budget
        is_alone = budget.held == self._bytes
        if budget.held + size > budget.max_bytes and not is_alone:
            raise OverloadedError(
                f"Bodies of {budget.held} bytes are being taken in, as much as this proxy holds.",
                retry_after_seconds=1,
            )
        budget.held += size
        self._bytes += size
        HELD_BODY_BYTES.inc(size)

    def let_go(self, size: int) -> None:
        """Hold so many bytes less: they are kept elsewhere."""
        self._budget.held -= size
        self._bytes -= size
        HELD_BODY_BYTES.dec(size)

    def release(self) -> None:
        """Hold nothing more: it is stored, or refused."""
        if self._bytes:
            self._budget.held -= self._bytes
            HELD_BODY_BYTES.dec(self._bytes)
            self._bytes = 0
