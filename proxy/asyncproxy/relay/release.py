"""Releases what is held: what nobody else saw to, and what waits for time to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncproxy.metrics import RELAY_PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Collection

    from asynctasks.releases import Releases

WAITING_SECONDS = 0.25
"""How often it is looked for room while something waits for it."""
LEAST_SECONDS = 0.02
"""Between two starts by a rate; one that is faster needs a burst."""
LARGEST_SHARE = 0.1
"""Of the time, at most so much goes into looking."""
LONGEST_PAUSE_SECONDS = 2.0
"""One look that a busy database kept for long is no reason to let all that is held wait."""
MANY = 100
"""Where so many could go, it is looked again at once: a pause of nine times what it took to publish
them would be longer than executors need to run them."""


class Release:
    """The duty; it looks more often while something waits, and when a rate lets more through."""

    def __init__(
        self, releases: Releases, *, queues: Collection[str], interval_seconds: float
    ) -> None:
        self._releases = releases
        self._queues = queues
        self._usual_seconds = interval_seconds
        self.interval_seconds = interval_seconds
        """Until it is to look next."""

    async def held(self) -> bool:
        """Release as many as there is room for; whether it is worth looking again at once.

        Raises DatabaseUnavailableError, BrokerUnavailableError; what was not published stays held.
        """
        self.interval_seconds = self._usual_seconds
        progress = await self._releases.release(self._queues)
        RELAY_PUBLISHED.inc(progress.released)
        if progress.waits:
            more_in_seconds = max(LEAST_SECONDS, progress.more_in_seconds)
            self.interval_seconds = min(self._usual_seconds, WAITING_SECONDS, more_in_seconds)
        return progress.waits and progress.released >= MANY
