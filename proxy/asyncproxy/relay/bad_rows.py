"""Rows that a duty cannot handle: one fails alone, and neither the others nor the proxy with it.

A row turns bad when somebody edits it by hand, or a later version writes what this one cannot read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import structlog

from asyncproxy.metrics import RELAY_BAD_ROWS
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from uuid import UUID

ASIDE_SECONDS = 3_600.0
"""So long a bad row is left alone: by then somebody may have mended it."""
MOST = 1_000
"""More bad rows than this are none: then the fault is ours."""
MovedT = TypeVar("MovedT")

log = structlog.get_logger(__name__)


class BadRows:
    """The bad rows of one duty, each logged when it is found and then left alone for an hour."""

    def __init__(self, duty: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._duty = duty
        self._counted = RELAY_BAD_ROWS.labels(duty)
        self._clock = clock
        self._until: dict[UUID, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def without(self, task_ids: Iterable[UUID]) -> list[UUID]:
        """Those of the tasks that are not set aside."""
        self._take_back()
        return [one for one in task_ids if one not in self._until]

    def set_aside(self, task_id: UUID, error: Exception) -> None:
        """Leave the row alone from now on; raises the error where too many are bad already."""
        self._take_back()
        if len(self._until) >= MOST:
            raise error
        self._until[task_id] = self._clock() + ASIDE_SECONDS
        self._counted.inc()
        # Without its traceback and text, which may quote the row.
        log.error("bad row", duty=self._duty, task_id=str(task_id), error=type(error).__name__)

    def _take_back(self) -> None:
        now = self._clock()
        self._until = {one: until for one, until in self._until.items() if until > now}

    async def apart(
        self, task_ids: Sequence[UUID], move: Callable[[Sequence[UUID]], Awaitable[list[MovedT]]]
    ) -> list[MovedT]:
        """What `move` returns for the tasks, asked in halves where one of them makes it fail.

        So a single bad row costs a few transactions, and is set aside alone.
        """
        if not task_ids:
            return []
        try:
            return await move(task_ids)
        except AsyncApiProxyError:
            raise  # something is away, which is the fault of no row
        except Exception as error:  # noqa: BLE001 - a row may hold anything, so it may fail anyhow
            if len(task_ids) == 1:
                self.set_aside(task_ids[0], error)
                return []
        half = len(task_ids) // 2
        return [
            *await self.apart(task_ids[:half], move),
            *await self.apart(task_ids[half:], move),
        ]
