"""A queue, its executors and Kubernetes, second by second: a model, not a cluster.

Every task waits for a slot of a ready executor. A pod is ready `START_SECONDS` after it was asked
for. One that is taken away stops consuming at once and has `GRACE_SECONDS` to finish; what it has
not finished by then is killed, and queued again. Nothing ever fails for another reason.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

START_SECONDS = 8
GRACE_SECONDS = 30
"""Kubernetes' default, which most executors are run with."""
CONCURRENCY = 2
MIN_REPLICAS = 1
MAX_REPLICAS = 60


@dataclass(slots=True)
class Task:
    """When it arrives, and how long an attempt takes."""

    arrives: int
    seconds: int
    started: int = 0


@dataclass(slots=True)
class Pod:
    """An executor's pod."""

    name: str
    ready_at: int
    running: list[Task] = field(default_factory=list[Task])
    idle_since: int | None = None
    drains_from: int | None = None
    """From when it takes no more, because it was told to drain."""
    terminated_at: int | None = None


class Policy(Protocol):
    """What scales the pool. It is asked once a second."""

    name: str

    def step(self, pool: Pool) -> None:
        """Scale the pool, if it is time to."""


class Pool:
    """The queue and its pods at one moment."""

    def __init__(self, tasks: list[Task], *, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311, a model
        self.now = 0
        self.queue: deque[Task] = deque()
        self.coming = deque(sorted(tasks, key=lambda task: task.arrives))
        self.done: list[Task] = []
        self.pods: list[Pod] = []
        self.killed = 0
        self.wasted_seconds = 0
        self.pod_seconds = 0
        self._names = 0
        self.scale(MIN_REPLICAS)
        for pod in self.pods:
            pod.ready_at = 0

    @property
    def live(self) -> list[Pod]:
        """The pods that the count of replicas is about."""
        return [pod for pod in self.pods if pod.terminated_at is None]

    @property
    def running(self) -> int:
        """Tasks that run, on pods that terminate too."""
        return sum(len(pod.running) for pod in self.pods)

    def scale(self, replicas: int) -> None:
        """Set the count of replicas. Which pods go is the ReplicaSet's choice."""
        live = self.live
        for _ in range(replicas - len(live)):
            self._names += 1
            self.pods.append(Pod(f"pod-{self._names}", self.now + START_SECONDS))
        # Those not ready first, then the youngest by the logarithm of their age, then any.
        order = sorted(live, key=lambda pod: (*self._rank(pod), self.random.random()))
        for pod in order[: max(len(live) - replicas, 0)]:
            self.terminate(pod)

    def _rank(self, pod: Pod) -> tuple[bool, int]:
        age = self.now - pod.ready_at
        return age >= 0, int(math.log2(age + 1)) if age >= 0 else 0

    def terminate(self, pod: Pod) -> None:
        """Ask this very pod to end."""
        pod.terminated_at = self.now

    def step(self) -> None:
        """A second passes."""
        self.now += 1
        while self.coming and self.coming[0].arrives <= self.now:
            self.queue.append(self.coming.popleft())
        for pod in self.pods:
            self._finish(pod)
            if pod.terminated_at is not None and self.now - pod.terminated_at >= GRACE_SECONDS:
                self._kill(pod)
        self.pods = [pod for pod in self.pods if pod.terminated_at is None or pod.running]
        self._deliver()
        self.pod_seconds += len(self.pods)

    def _finish(self, pod: Pod) -> None:
        for task in list(pod.running):
            if self.now - task.started >= task.seconds:
                pod.running.remove(task)
                self.done.append(task)
        if pod.running or self.now < pod.ready_at:
            pod.idle_since = None
        elif pod.idle_since is None:
            pod.idle_since = self.now

    def _kill(self, pod: Pod) -> None:
        for task in pod.running:
            self.killed += 1
            self.wasted_seconds += self.now - task.started
            self.queue.appendleft(task)
        pod.running.clear()

    def _deliver(self) -> None:
        while self.queue:
            free = [
                pod
                for pod in self.pods
                if pod.terminated_at is None
                and pod.ready_at <= self.now
                and (pod.drains_from is None or pod.drains_from > self.now)
                and len(pod.running) < CONCURRENCY
            ]
            if not free:
                return
            # RabbitMQ gives to its consumers in turn; so all are filled before any is full.
            for pod in sorted(free, key=lambda pod: len(pod.running)):
                if self.queue:
                    task = self.queue.popleft()
                    task.started = self.now
                    pod.running.append(task)
                    pod.idle_since = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one load under one policy."""

    p50_seconds: float
    p95_seconds: float
    killed: float
    wasted_seconds: float
    pod_hours: float
    replicas: tuple[int, ...] = ()
    """Second by second, those that terminate included."""
    waiting: tuple[int, ...] = ()


def simulate(tasks: list[Task], policy: Policy, *, seconds: int, seed: int) -> Outcome:
    """Run it for so long, and then until every task is done.

    The wait is that from a task's arrival to the start of the attempt that finished it. Pod-hours
    count for the given time alone. The same seed gives the same outcome.
    """
    pool = Pool(tasks, seed=seed)
    replicas, waiting = list[int](), list[int]()
    pod_seconds = 0
    while pool.now < seconds or len(pool.done) < len(tasks):
        pool.step()
        policy.step(pool)
        if pool.now <= seconds:
            pod_seconds = pool.pod_seconds
            replicas.append(len(pool.pods))
            waiting.append(len(pool.queue))
    waits = sorted(task.started - task.arrives for task in pool.done)
    cuts = statistics.quantiles(waits, n=20, method="inclusive")
    return Outcome(
        p50_seconds=cuts[9],
        p95_seconds=cuts[18],
        killed=pool.killed,
        wasted_seconds=pool.wasted_seconds,
        pod_hours=pod_seconds / 3600,
        replicas=tuple(replicas),
        waiting=tuple(waiting),
    )


def mean(outcomes: list[Outcome]) -> Outcome:
    """The mean of several seeds, with the first one's course."""
    return Outcome(
        p50_seconds=statistics.fmean(one.p50_seconds for one in outcomes),
        p95_seconds=statistics.fmean(one.p95_seconds for one in outcomes),
        killed=statistics.fmean(one.killed for one in outcomes),
        wasted_seconds=statistics.fmean(one.wasted_seconds for one in outcomes),
        pod_hours=statistics.fmean(one.pod_hours for one in outcomes),
        replicas=outcomes[0].replicas,
        waiting=outcomes[0].waiting,
    )
