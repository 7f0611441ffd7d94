"""Back-pressure: whether a call is taken, and whether it is worth its caller's while to wait."""

from __future__ import annotations

import math
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncproxy.metrics import HELD_TASKS, WAITING_JOBS
from asyncproxy.problems import OverloadedError, QueueFullError
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping

    from asyncproxy.settings import ProxySettings
    from asynctasks.operations.operation import Operation
    from asynctasks.statements.upkeep import Backlog, Upkeep

SAMPLE_SECONDS = 2.0
LARGEST_SHARE = 0.05
"""Of the time, at most so much goes into counting, however long the queues are."""
SMOOTHING = 0.3
"""The weight of the newest rate."""
LONGEST_RETRY_AFTER_SECONDS = 300
"""A task may end before it is likely to have been run: it is cancelled, or its deadline passes."""


@dataclass(slots=True)
class _Queue:
    """What the last samples say of one queue."""

    queued: int = 0
    rate: float | None = None
    """Tasks finished a second while others waited; None until that was seen."""

    def sample(self, *, queued: int, finished_per_second: float) -> None:
        # Without a backlog the rate is that of the callers and says nothing of the executors.
        if queued and self.queued:
            old = finished_per_second if self.rate is None else self.rate
            smoothed = old + SMOOTHING * (finished_per_second - old)
            # Slow to lose faith, quick to gain it: after a stall callers may wait again at once.
            self.rate = max(smoothed, finished_per_second)
        self.queued = queued

    @property
    def wait_seconds(self) -> float | None:
        """How long a new task will wait for an executor; None where that is unknown."""
        if not self.queued:
            return 0.0
        return self.queued / self.rate if self.rate else None


@dataclass(slots=True)
class Permit:
    """A call that was admitted."""

    leaves_task: bool = False
    """Whether it leaves a task that has not finished: not where it was refused, or answered."""


class Admission:
    """What one proxy knows of the queues, and how many callers it holds."""

    def __init__(
        self,
        upkeep: Upkeep,
        settings: ProxySettings,
        *,
        on_sample: Callable[[Mapping[str, Backlog]], Awaitable[None]],
        waits_apart: Callable[[str], bool] = lambda _: False,
        sample_seconds: float = SAMPLE_SECONDS,
        largest_share: float = LARGEST_SHARE,
    ) -> None:
        """Each sample is told to `on_sample`, too.

        What is held of an operation that `waits_apart` keeps no other one waiting.
        """
        self._upkeep = upkeep
        self._on_sample = on_sample
        self._waits_apart = waits_apart
        self._settings = settings
        self._waiting = 0
        self._queues: dict[str, _Queue] = {}
        self._queued: Counter[str] = Counter()
        self._sampled_at = time.monotonic() - sample_seconds
        self.loop = Loop(
            "admission",
            self._sample_since_last,
            interval_seconds=sample_seconds,
            largest_share=largest_share,
        )

    @contextmanager
    def admit(self, operation: Operation, *, waits: bool) -> Generator[Permit]:
        """Hold a permit for a call, and a place for its caller if it waits.

        Raises OverloadedError, QueueFullError.
        """
        if waits and self._waiting >= self._settings.max_waiting:
            raise OverloadedError(
                f"{self._waiting} callers wait at this proxy, which is as many as it takes; "
                "one that does not wait is taken (Prefer: respond-async).",
                retry_after_seconds=self.retry_after_seconds(operation.queue),
            )
        if self._queued[operation.name] >= operation.max_queued:
            raise QueueFullError(
                f"{operation.name} has {operation.max_queued} queued tasks, the most it may have.",
                retry_after_seconds=self.retry_after_seconds(operation.queue),
            )
        self._waiting += waits
        # Until the next sample: a burst between two samples must not pass the limit unseen.
        queued, permit = self._queued, Permit()
        queued[operation.name] += 1
        try:
            yield permit
        finally:
            self._waiting -= waits
            if not permit.leaves_task:
                queued[operation.name] -= 1  # a sample since then has begun a count of its own

    def window_seconds(self, operation: Operation, asked: float) -> float:
        """The window worth holding: none where the queue alone takes longer.

        Where limits decide, how long the queue is says little of whose turn it is.
        """
        if not self._settings.adaptive_window or operation.limits:
            return asked
        queue = self._queues.get(operation.queue)
        wait = queue.wait_seconds if queue else None
        return 0.0 if wait is not None and wait > asked else asked

    def retry_after_seconds(self, queue: str, *, at_least: float = 0.0) -> int:
        """When a task of the queue is likely to have been run, which will not be earlier.

        LONGEST_RETRY_AFTER_SECONDS at most.
        """
        known = self._queues.get(queue)
        wait = (known.wait_seconds if known else None) or 0.0
        return min(max(1, math.ceil(max(wait, at_least))), LONGEST_RETRY_AFTER_SECONDS)

    async def _sample_since_last(self) -> None:
        now = time.monotonic()
        await self._sample(now - self._sampled_at)
        self._sampled_at = now

    async def _sample(self, seconds: float) -> None:
        before = self._queued.copy()
        backlogs = await self._upkeep.backlogs(seconds=seconds)
        # Those admitted while the database counted: a few then count twice, but none is missed.
        self._queued = self._queued - before
        for backlog in backlogs.values():
            self._queued.update(backlog.queued)
        for name in self._queues.keys() | backlogs.keys():
            backlog = backlogs.get(name)
            self._queues.setdefault(name, _Queue()).sample(
                queued=self._waiting_on(backlog) if backlog else 0,
                finished_per_second=backlog.finished / seconds if backlog else 0.0,
            )
        _show_held(backlogs)
        _show_jobs(backlogs.values())
        await self._on_sample(backlogs)

    def _waiting_on(self, backlog: Backlog) -> int:
        apart = (count for name, count in backlog.held.items() if self._waits_apart(name))
        return sum(backlog.queued.values()) - sum(backlog.put_back.values()) - sum(apart)


def _show_jobs(backlogs: Iterable[Backlog]) -> None:
    WAITING_JOBS.clear()
    for backlog in backlogs:
        for operation, jobs in backlog.jobs.items():
            # A changed file may have given it another queue.
            WAITING_JOBS.labels(operation).inc(jobs)


def _show_held(backlogs: Mapping[str, Backlog]) -> None:
    HELD_TASKS.clear()
    for queue, backlog in backlogs.items():
        HELD_TASKS.labels(queue).set(sum(backlog.held.values()))
