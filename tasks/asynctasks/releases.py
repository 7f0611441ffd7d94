"""Releases in one process: marks held tasks as published, and publishes them.

Any process may release, and does so where it has made room or brought something that waits. Should
it end between the commit and the publish, the relay finds that the messages are lost.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import structlog

from asynctasks.broker.messages import TaskMessage
from asynctasks.errors import BrokerUnavailableError, DatabaseUnavailableError
from asynctasks.group_commit import pause_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from uuid import UUID

    from asynctasks.broker.protocol import Broker
    from asynctasks.limits.rooms import Group
    from asynctasks.operations.live_operations import LiveOperations
    from asynctasks.operations.operation import Operations
    from asynctasks.statements.releases import HeldTasks
    from asynctasks.statements.upkeep import DueTask

Queues = frozenset[str]
"""Queues whose operations share limits, and which are released together for that."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a release of some queues has come to."""

    released: int = 0
    waits: bool = False
    """Whether held tasks are left that nobody has paused."""
    more_in_seconds: float = math.inf
    """When the next of them may start by a rate, if no other task ends before."""

    def __add__(self, other: Progress) -> Progress:
        """Both together."""
        return Progress(
            self.released + other.released,
            self.waits or other.waits,
            min(self.more_in_seconds, other.more_in_seconds),
        )


class Releases:
    """Releases the held tasks of queues; leave it to end those that go on in the background."""

    def __init__(self, held: HeldTasks, broker: Broker, operations: LiveOperations) -> None:
        self._held = held
        self._broker = broker
        self._operations = operations
        self._current: Operations = {}
        self._known: Operations = {}
        """And those that the file has no more, whose tasks others may still run."""
        self._together: dict[str, Queues] = {}
        self._running: set[Queues] = set()
        self._again: set[Queues] = set()
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

    def soon(self, queue: str) -> None:
        """Release the queue in the background: now, or once the release under way has ended."""
        queues = self._with(queue)
        if self._is_ending:
            return  # the relay does it
        if queues in self._running:
            self._again.add(queues)
            return
        self._running.add(queues)
        self._tasks.create_task(self._release_on(queues), name="release")

    async def release(self, queues: Iterable[str]) -> Progress:
        """Release these queues, and those that share their limits.

        Raises DatabaseUnavailableError, BrokerUnavailableError.
        """
        progress, away = Progress(), list[BrokerUnavailableError]()
        if not self._broker.is_connected:
            return progress
        asked = {self._with(queue) for queue in queues}
        waiting = await self._held.waiting({queue for together in asked for queue in together})
        for together in {self._with(group.queue) for group in waiting}:
            try:
                groups = [group for group in waiting if group.queue in together]
                progress += await self._release(groups)
            except BrokerUnavailableError as error:
                away.append(error)  # a queue may be full where another is not
        if away:
            raise away[0]
        return progress

    async def _release_on(self, queues: Queues) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._again.discard(queues)
                began = loop.time()
                progress = await self.release(queues)
                if queues not in self._again:
                    return
                # Where they come thick, wait for more: the next costs as much, however many it has.
                await asyncio.sleep(pause_seconds(progress.released, loop.time() - began))
        except (DatabaseUnavailableError, BrokerUnavailableError) as error:
            log.warning("release left to the relay", reason=str(error))
        finally:
            self._running.discard(queues)
            self._again.discard(queues)

    async def _release(self, groups: Sequence[Group]) -> Progress:
        progress, has_more = Progress(), True
        while has_more:
            released = await self._held.release(groups, self._known)
            await self._publish(released.tasks)
            progress = Progress(
                progress.released + len(released.tasks), released.waits, released.more_in_seconds
            )
            has_more = released.has_more and bool(released.tasks)
        return progress

    async def _publish(self, tasks: Sequence[DueTask]) -> None:
        outcomes = await asyncio.gather(*map(self._publish_one, tasks), return_exceptions=True)
        failed: dict[UUID, BaseException] = {
            task.id: outcome
            for task, outcome in zip(tasks, outcomes, strict=True)
            if outcome is not None
        }
        if failed:
            await self._held.hold(list(failed))
            raise next(iter(failed.values()))

    async def _publish_one(self, task: DueTask) -> None:
        await self._broker.publish(task.queue, TaskMessage(task.id, task.operation))

    def _with(self, queue: str) -> Queues:
        current = self._operations.current
        if current is not self._current:
            self._current = current
            gone = {name: each for name, each in self._known.items() if name not in current}
            self._known = {**gone, **current}
            self._together = queues_together(self._known)
        return self._together.get(queue) or frozenset({queue})


def queues_together(operations: Operations) -> dict[str, Queues]:
    """By queue all that are released with it: whoever shares a limit with its operations."""
    found: list[set[tuple[str, str]]] = []
    for operation in operations.values():
        merged = {("queue", operation.queue), *(("limit", name) for name in operation.limits)}
        apart: list[set[tuple[str, str]]] = []
        for each in found:
            if each.isdisjoint(merged):
                apart.append(each)
            else:
                merged |= each
        found = [*apart, merged]
    sets = (frozenset(name for kind, name in each if kind == "queue") for each in found)
    return {queue: queues for queues in sets for queue in queues}
