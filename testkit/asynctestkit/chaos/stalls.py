"""When the callers' own process was held up: an answer that lay there meanwhile was not late."""

import asyncio
import time
from dataclasses import dataclass, field

STEP_SECONDS = 0.05


@dataclass
class Stalls:
    """From when to when its event loop did not turn, in seconds since 1970."""

    found: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    async def watch(self) -> None:
        """Note them as they come."""
        while True:
            due = time.time() + STEP_SECONDS
            await asyncio.sleep(STEP_SECONDS)
            now = time.time()
            if now > due + STEP_SECONDS:
                self.found.append((due, now))

    @property
    def longest(self) -> float:
        """In seconds."""
        return max((until - since for since, until in self.found), default=0.0)

    def seconds(self, since: float, until: float) -> float:
        """How long they were between these times."""
        return sum(max(0.0, min(until, ended) - max(since, began)) for began, ended in self.found)
