"""How fast this machine is, beside one that the limits of the checks are made for."""

import asyncio
import statistics
import time

ORDINARY_SECONDS = 0.007
"""Of CPU for the work below, on the machine by which those limits were chosen."""
SAMPLE_SECONDS = 1.0
AROUND_SECONDS = 2.0
"""What happens within this time of a moment is of that moment."""
FIRST_SAMPLES = 50


class Machine:
    """How many times longer it takes for the same work, from moment to moment; 1 at least.

    A machine that others share is several times slower at one moment than at the next.
    """

    def __init__(self) -> None:
        self._samples = [(time.time(), _slowness()) for _ in range(FIRST_SAMPLES)]

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            self._samples.append((time.time(), _slowness()))

    @property
    def usual(self) -> float:
        """As it mostly was until now."""
        return statistics.median(slowness for _, slowness in self._samples)

    def slowest(self, since: float, until: float) -> float:
        """In the slowest moment between these times, in seconds since 1970."""
        around = [
            slowness
            for at, slowness in self._samples
            if since - AROUND_SECONDS <= at <= until + AROUND_SECONDS
        ]
        return max(around, default=self.usual)


def _slowness() -> float:
    # Not the time that goes by: what else runs here is part of what is tested.
    began = time.thread_time()
    total = 0
    for number in range(100_000):
        total += number * number
    return max(1.0, (time.thread_time() - began) / ORDINARY_SECONDS)
