"""A loop: does one thing again and again, waits for what is away, and says when it has stopped.

Every service runs a few of them in a TaskGroup. An error that a loop does not wait for ends the
process. One that hangs raises nothing, but `fault` tells /healthz. Kubernetes restarts both.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from asynctasks.errors import (
    BlobStoreUnavailableError,
    BrokerUnavailableError,
    DatabaseUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

AWAY = (DatabaseUnavailableError, BrokerUnavailableError, BlobStoreUnavailableError)
LONGEST_PAUSE_SECONDS = 10.0
"""One slow tick must not blind whoever reads what the loop finds for a minute."""
STUCK_SECONDS = 120.0
"""No tick takes as long: what it waits for has deadlines, of a minute at most."""

log = structlog.get_logger(__name__)


class Loop:
    """Calls `tick` until it is cancelled, or told to end.

    A tick returns whether there is more to do at once; else the next one comes after the interval,
    or when the loop is poked; without an interval only then. One that changes is asked for after
    each tick. At most `largest_share` of the time goes into ticks, as far as
    `longest_pause_seconds` lets it. Errors of `waits_for` mean that something is away: that is
    logged once, and `pause_after` says how long to wait after so many of them in a row.
    """

    def __init__(
        self,
        name: str,
        tick: Callable[[], Awaitable[bool | None]],
        *,
        interval_seconds: float | Callable[[], float] | None,
        largest_share: float = 1.0,
        longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
        waits_for: tuple[type[Exception], ...] = AWAY,
        pause_after: Callable[[Exception, int], float | None] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self._tick = tick
        self._interval_seconds = interval_seconds
        self._largest_share = largest_share
        self._longest_pause_seconds = longest_pause_seconds
        self._waits_for = waits_for
        self._pause_after = pause_after
        self._clock = clock or time.monotonic
        self._wake = asyncio.Event()
        self._is_ending = False
        self._failures = 0
        self._due_at = math.inf
        self.obstacle: Exception | None = None
        """What the last tick found to be away."""

    @property
    def fault(self) -> str | None:
        """That the loop has stopped, and since when: waiting for what is away is no fault."""
        late_seconds = self._clock() - self._due_at
        if late_seconds < STUCK_SECONDS:
            return None
        return f"{self.name} has finished no tick for {late_seconds:.0f} s"

    def poke(self) -> None:
        """Let the next tick begin at once, or after the one that is under way."""
        self._wake.set()
        self._due_at = min(self._due_at, self._clock())

    def end(self) -> None:
        """Let the tick that is under way be the last."""
        self._is_ending = True
        self._wake.set()

    async def run(self) -> None:
        """Return when told to end; raises what a tick raised that is not waited for."""
        self._due_at = self._clock()
        while not self._is_ending:
            self._wake.clear()
            pause_seconds = await self._tick_once()
            self._due_at = self._clock() + (math.inf if pause_seconds is None else pause_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._wake.wait()
        self._due_at = math.inf

    async def _tick_once(self) -> float | None:
        """Tick; how long to pause after that."""
        began_at = self._clock()
        try:
            has_more = await self._tick()
        except self._waits_for as error:
            return self._wait_for(error)
        if self.obstacle is not None:
            log.info("loop goes on", loop=self.name)
        self.obstacle, self._failures = None, 0
        interval_seconds = self._interval
        if has_more or interval_seconds is None:
            return 0.0 if has_more else None
        took_seconds = self._clock() - began_at
        fair_seconds = took_seconds * (1 / self._largest_share - 1)
        return max(interval_seconds, min(fair_seconds, self._longest_pause_seconds))

    def _wait_for(self, error: Exception) -> float | None:
        if type(error) is not type(self.obstacle):
            log.warning("loop waits", loop=self.name, reason=str(error))
        self.obstacle = error
        self._failures += 1
        pause_after = self._pause_after
        return pause_after(error, self._failures) if pause_after else self._interval

    @property
    def _interval(self) -> float | None:
        given = self._interval_seconds
        return given() if callable(given) else given


def fault_of(loops: Iterable[Loop]) -> str | None:
    """Which of them have stopped, for /healthz; None while all go on."""
    return "; ".join(fault for loop in loops if (fault := loop.fault)) or None
