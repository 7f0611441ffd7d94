"""What an executor takes from its queue and of polls: when it may, and what it has in hand."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog

from asyncexecutor.metrics import DRAINING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from asyncexecutor.running_attempts import RunningAttempts
    from asynctasks.broker.protocol import Consumption, Delivery

RECORD_SECONDS = 5.0
"""After the drain: how long the interrupted attempts get to be recorded."""

log = structlog.get_logger(__name__)


class Intake:
    """Takes one queue's deliveries and has each handled in a task of its own.

    Told to drain it leaves the queue and finishes what it has; told otherwise it consumes again.
    What is in hand is more than the attempts that run: some deliveries are about to be claimed,
    and for some the outcome is being recorded. Polls are in hand, too, in slots that nothing else
    needs; where they hold all, a delivery waits.
    """

    def __init__(
        self,
        handle: Callable[[Delivery], Coroutine[Any, Any, None]],
        *,
        concurrency: int,
        running: RunningAttempts,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._handle = handle
        self._slots = asyncio.Semaphore(concurrency)
        self._running = running
        self._tasks = tasks
        self._handling: set[asyncio.Task[None]] = set()
        self._consumption: Consumption | None = None
        self._idle_since: float | None = time.monotonic()
        self._is_draining = False
        self._is_leaving = False
        self.has_left = False
        """Whether no delivery comes any more, until it is told otherwise."""

    @asynccontextmanager
    async def consuming(
        self, consume: Callable[..., AbstractAsyncContextManager[Consumption]]
    ) -> AsyncGenerator[None]:
        """Take deliveries for as long as it is entered."""
        async with consume(on_delivery=self._take) as self._consumption:
            yield
        self._set_draining(to=False)

    async def take_slots(self, *, most: int) -> int:
        """Take free slots, to begin something in each or leave it; how many they are.

        None while nothing is to be begun.
        """
        taken = 0
        while taken < most and self._may_begin and not self._slots.locked():
            await self._slots.acquire()
            taken += 1
        return taken

    def leave_slots(self, slots: int) -> None:
        """Leave slots in which nothing was begun."""
        for _ in range(slots):
            self._slots.release()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it dealt with in a slot that was taken, which is left at its end."""
        self._begin(work).add_done_callback(lambda _: self._slots.release())

    @property
    def _may_begin(self) -> bool:
        return self._consumption is not None and not self._is_draining and not self._is_leaving

    @property
    def in_hand(self) -> int:
        """Deliveries and polls that are being dealt with."""
        return len(self._handling)

    @property
    def idle_seconds(self) -> float | None:
        """For how long nothing was in hand; None while something is."""
        return None if self._idle_since is None else time.monotonic() - self._idle_since

    @property
    def obstacle(self) -> str | None:
        """Why no delivery can come; None while one can."""
        if self._is_leaving:
            return "stopping"
        if self._is_draining:
            return "draining"
        if self._consumption is None:
            return "starting"
        return None if self._consumption.is_consuming else "the broker is not connected"

    async def follow(self, *, draining: bool) -> bool:
        """Leave the queue or come back to it, as the operator says; whether that was a change."""
        if self._consumption is None or self._is_leaving or draining is self._is_draining:
            return False
        self._set_draining(to=draining)
        if draining:
            log.info("executor drains", in_hand=self.in_hand)
            await self._consumption.stop()
        else:
            log.info("executor consumes again", in_hand=self.in_hand)
            await self._consumption.resume()
        self.has_left = draining
        return True

    async def leave(self, *, drain_seconds: float) -> None:
        """Leave the queue for good, and give back what is still in hand after so long."""
        assert self._consumption is not None
        self._is_leaving = True
        self._set_draining(to=True)
        log.info("executor drains", in_hand=self.in_hand)
        await self._consumption.stop()
        self.has_left = True
        if self._handling:
            await asyncio.wait(self._handling, timeout=drain_seconds)
        if self._handling:
            log.warning("attempts interrupted by the drain", running=len(self._running.numbers))
            self._running.stop_all()
            await asyncio.wait(self._handling, timeout=RECORD_SECONDS)
        for task in self._handling:
            # The database is away: the leases run out and the relay takes the tasks up again.
            task.cancel()

    def _set_draining(self, *, to: bool) -> None:
        if to is not self._is_draining:
            DRAINING.inc(1 if to else -1)
        self._is_draining = to

    def _take(self, delivery: Delivery) -> None:
        self._begin(self._in_a_slot(delivery))

    async def _in_a_slot(self, delivery: Delivery) -> None:
        async with self._slots:
            await self._handle(delivery)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._handling.add(task)
        self._idle_since = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        if not self._handling:
            self._idle_since = time.monotonic()
