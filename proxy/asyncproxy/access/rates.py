"""How often each caller may do something: a generic cell rate algorithm, in this process's memory.

Of each who has called lately it holds one number: when all it has asked for would be over if it had
been asked for at the rate. That may lie ahead by as much as the burst takes at the rate.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

KeyT = TypeVar("KeyT", bound="Hashable")
MOST_KEYS = 10_000
"""Of callers that are remembered before those are forgotten who have all their burst again."""
ROUNDING_SECONDS = 1e-6
"""By so little nobody is refused: these are sums of fractions."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What is left after a call, or until when none is."""

    remaining: int
    wait_seconds: float
    """0 where it was taken; else when the next one can be."""
    full_after_seconds: float
    """When all of the burst will be there again."""


class Rates(Generic[KeyT]):
    """What callers have taken of one rate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._over_at: dict[KeyT, float] = {}

    def take(self, key: KeyT, *, rate_per_second: float, burst: float) -> Taken:
        """Take one, if there is one."""
        now = self._clock()
        interval = 1 / rate_per_second
        tolerance = interval * burst
        over_at = max(self._over_at.get(key, now), now) + interval
        wait = over_at - tolerance - now
        if wait > ROUNDING_SECONDS:
            behind = over_at - interval - now
            return Taken(0, wait, behind)
        if len(self._over_at) >= MOST_KEYS and key not in self._over_at:
            self._forget(now)
        self._over_at[key] = over_at
        ahead = over_at - now
        return Taken(math.floor((tolerance - ahead) / interval + ROUNDING_SECONDS), 0.0, ahead)

    def _forget(self, now: float) -> None:
        self._over_at = {key: over_at for key, over_at in self._over_at.items() if over_at > now}
