"""How many writes the API server gets from us: a token bucket that gives way when it throttles."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

IN_FLIGHT = 8
"""Writes at a time."""
SLOWEST_PER_SECOND = 1.0
RECOVERY_PER_SECOND = 1.0
"""What the rate gains each second after it was halved."""


class WriteBudget:
    """Grants writes to the API server: so many a second in the long run, a burst after a rest."""

    def __init__(
        self, *, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._full_rate = self._rate = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()
        self._paused_until = self._at
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)

    @property
    def available(self) -> int:
        """Writes that may be made now."""
        self._refill()
        return 0 if self._at < self._paused_until else max(0, int(self._tokens))

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[None]:
        """A place for one write; waits while too many are in flight."""
        async with self._in_flight:
            self._refill()
            self._tokens -= 1
            yield

    def throttled(self, retry_after_seconds: float) -> None:
        """The API server asks for less: halve the rate, and wait as long as it says."""
        self._refill()
        if self._at >= self._paused_until:  # once for all the writes that were in flight
            self._rate = max(min(SLOWEST_PER_SECOND, self._full_rate), self._rate / 2)
        self._tokens = min(self._tokens, 0.0)
        self._paused_until = max(self._paused_until, self._at + retry_after_seconds)

    def _refill(self) -> None:
        now = self._clock()
        paused = max(0.0, min(now, self._paused_until) - self._at)
        seconds = max(0.0, now - self._at - paused)
        self._at = now
        self._tokens = min(float(self._burst), self._tokens + seconds * self._rate)
        self._rate = min(self._full_rate, self._rate + seconds * RECOVERY_PER_SECOND)
