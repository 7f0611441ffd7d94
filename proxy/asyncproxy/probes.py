"""Whether the database and the broker answer, and how fast: asked in the background.

`/ping` and `/readyz` tell what the last probe saw, so asking them costs the parts nothing. They
tell it to anybody: why a part is away, with its hosts and roles, is the log's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from asynctasks.errors import UnavailableError
from asynctasks.instants import utc_now
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

INTERVAL_SECONDS = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe saw."""

    available: bool
    response_time_ms: float | None
    checked_at: datetime
    detail: str | None = None
    """Why it is not available, for anybody; None where it is."""


class Probe:
    """Asks the database, or the broker, again and again whether it is there."""

    def __init__(self, name: str, ask: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self._ask = ask
        self.loop = Loop(f"probe {name}", self.ask, interval_seconds=INTERVAL_SECONDS)
        self._reason: str | None = None
        self.finding = Finding(
            available=False, response_time_ms=None, checked_at=utc_now(), detail="not asked yet"
        )

    async def ask(self) -> None:
        """Ask once and keep what was found."""
        started = time.perf_counter()
        try:
            await self._ask()
        except UnavailableError as error:
            self._log(reason=str(error))
            self.finding = Finding(
                available=False, response_time_ms=None, checked_at=utc_now(), detail=error.public
            )
        else:
            self._log(reason=None)
            elapsed_ms = round((time.perf_counter() - started) * 1000, 3)
            self.finding = Finding(
                available=True, response_time_ms=elapsed_ms, checked_at=utc_now()
            )

    def _log(self, *, reason: str | None) -> None:
        """Tell of a change, once."""
        if reason == self._reason:
            return
        if reason is not None:
            log.warning("probe failed", part=self.name, reason=reason)
        else:
            log.info("probe succeeds again", part=self.name)
        self._reason = reason
