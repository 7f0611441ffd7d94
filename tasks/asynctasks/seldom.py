"""Telling seldom what may happen very often: a line for each would take longer than the rest."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Seldom:
    """Writes a line of the log for one of many equal events: one in so many seconds."""

    def __init__(
        self, every_seconds: float = 1.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._every_seconds = every_seconds
        self._clock = clock
        self._told_at: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def tell(
        self, write: Callable[..., object], event: str, /, kind: str = "", **told: object
    ) -> None:
        """Write it unless one of its kind was written just now; with how many since then were not.

        There must not be many kinds: they are kept.
        """
        now = self._clock()
        if now < self._told_at.get(kind, float("-inf")) + self._every_seconds:
            self._untold[kind] += 1
            return
        self._told_at[kind] = now
        write(event, **told, untold_before=self._untold.pop(kind, 0))
