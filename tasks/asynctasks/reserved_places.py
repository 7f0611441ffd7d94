"""The places under limits that one process has reserved for the tasks that it adds.

Each task of an operation with limits is released under their lock, which costs several times as
much as the rest of its way. Where an operation and key is called often and its limits are far from
reached, the process reserves places for the next seconds at once; a task that takes one is added as
published. Whether the place is still there is decided where it is added, in the same transaction;
what this module counts only saves asking in vain.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import structlog

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.statements.reserved_places import Reservation

if TYPE_CHECKING:
    from types import TracebackType

    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.operations.new_task import NewTask
    from asynctasks.operations.operation import Operation
    from asynctasks.statements.releases import HeldTasks

FEWEST_CALLS, LONGEST_GAP_SECONDS = 3, 1.0
"""So many calls without such a gap: who is called less often has each task released."""
AHEAD_SECONDS = 2.0
"""For so many seconds of calls as they come places are reserved."""
MOST_PLACES = 500
LOW_SHARE = 0.25
"""With so much of them left, more are asked for."""
REFUSED_SECONDS = 1.0
"""After there was no room it is not asked again for so long."""
MOST_KEYS = 1_000
"""Of so many operations and keys calls are counted; whoever is more waits for a release."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Ahead:
    """What is known of one operation and key."""

    operation: Operation
    since: float
    called_at: float
    calls: int = 0
    """Since then, without a longer gap."""
    left: int = 0
    low: int = 0
    under_way: int = 0
    """Taken by tasks that are being added."""
    asks_again_at: float = -math.inf

    def count(self, now: float) -> None:
        if now - self.called_at > LONGEST_GAP_SECONDS:
            self.since, self.calls = now, 0
        self.called_at = now
        self.calls += 1

    def asks(self, now: float) -> bool:
        return self.left <= self.low and self.calls >= FEWEST_CALLS and now >= self.asks_again_at

    def wanted(self, now: float) -> int:
        rate = self.calls / max(now - self.since, 0.05)
        return max(FEWEST_CALLS, min(MOST_PLACES, math.ceil(rate * AHEAD_SECONDS)))


class ReservedPlaces:
    """Of one process; leave it to end what it asks for in the background."""

    def __init__(self, held: HeldTasks, operations: LiveOperations) -> None:
        self._held = held
        self._operations = operations
        self._holder = secrets.token_hex(8)
        self._ahead: dict[tuple[str, str], _Ahead] = {}
        self._asking: set[tuple[str, str]] = set()
        self._tasks = asyncio.TaskGroup()
        self._is_ending = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_ending = True
        await self._tasks.__aexit__(kind, error, traceback)

    def take(self, operation: Operation, task: NewTask) -> None:
        """Have the task take a place where one is left; follow it by `settle` in any case."""
        now = asyncio.get_running_loop().time()
        ahead = self._of(operation, task.fair_key, now)
        if ahead is None:
            return
        ahead.count(now)
        if ahead.left > 0:
            ahead.left -= 1
            ahead.under_way += 1
            task.place_of = self._holder
        of = (operation.name, task.fair_key)
        if ahead.asks(now) and of not in self._asking and not self._is_ending:
            self._asking.add(of)
            self._tasks.create_task(self._ask(ahead, task.fair_key, now), name="reserve")

    def settle(self, task: NewTask, *, is_stored: bool) -> None:
        """Note what has become of the place that the task was to take."""
        ahead = self._ahead.get((task.operation, task.fair_key))
        if ahead is None or task.place_of is None:
            return
        ahead.under_way = max(0, ahead.under_way - 1)
        if is_stored and not task.published:
            ahead.left = 0  # they were taken back, for others wait

    def _of(self, operation: Operation, fair_key: str, now: float) -> _Ahead | None:
        of = (operation.name, fair_key)
        known = self._ahead.get(of)
        if known is None or known.operation is not operation:
            if known is None and len(self._ahead) >= MOST_KEYS and not self._forget(now):
                return None
            known = self._ahead[of] = _Ahead(operation, since=now, called_at=now)
        return known

    def _forget(self, now: float) -> bool:
        """Whether there were some who have called no more for a while."""
        idle = [
            of
            for of, ahead in self._ahead.items()
            if not ahead.under_way and now - ahead.called_at > LONGEST_GAP_SECONDS
        ]
        for of in idle:
            del self._ahead[of]
        return bool(idle)

    async def _ask(self, ahead: _Ahead, fair_key: str, now: float) -> None:
        operation, wanted = ahead.operation, ahead.wanted(now)
        reservation = Reservation(holder=self._holder, operation=operation.name, fair_key=fair_key)
        places = 0
        try:
            operations = {**self._operations.current, operation.name: operation}
            places = await self._held.reserve(reservation, operations, wanted=wanted)
        except DatabaseUnavailableError as error:
            log.warning("no places reserved", operation=operation.name, reason=str(error))
        finally:
            self._asking.discard((operation.name, fair_key))
        now = asyncio.get_running_loop().time()
        ahead.left = max(0, places - ahead.under_way)
        ahead.low, ahead.since, ahead.calls = int(ahead.left * LOW_SHARE), now, 0
        if places < FEWEST_CALLS:
            ahead.asks_again_at = now + REFUSED_SECONDS
