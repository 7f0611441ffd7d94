"""Publishes what no limit keeps back: polls that no executor takes by itself, and lost messages."""

from __future__ import annotations

import asyncio
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

import structlog

from asyncproxy.metrics import PUBLISH_FAILURES, RELAY_PUBLISHED
from asyncproxy.relay.bad_rows import BadRows
from asynctasks.broker.messages import TaskMessage
from asynctasks.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from asynctasks.broker.protocol import Broker
    from asynctasks.statements.store import TaskStore
    from asynctasks.statements.upkeep import DueTask, Upkeep

UNTAKEN_SECONDS = 5.0
"""A poll that is due for so long needs a message: its executors are busy, do not know its operation
or are of an earlier version, or there are none."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Publish:
    """Two duties: the polls, and what seems to have lost its message.

    Both return whether there may be more, and raise DatabaseUnavailableError,
    BrokerUnavailableError; what was not published stays due.
    """

    store: TaskStore
    upkeep: Upkeep
    broker: Broker
    _: KW_ONLY
    queues: Collection[str]
    """Those of the operations."""
    grace_seconds: float
    untaken_seconds: float = UNTAKEN_SECONDS
    batch: int = 200
    bad_rows: BadRows = field(default_factory=lambda: BadRows("publish"))

    async def polls(self) -> bool:
        """Publish a batch of tasks whose upstream's job should have been asked for."""
        if not self.broker.is_connected:
            return False
        due = await self.upkeep.take_due_polls(
            limit=self.batch,
            again_in_seconds=self.grace_seconds,
            late_seconds=self.untaken_seconds,
        )
        await self._publish(due, why="poll")
        return len(due) == self.batch

    async def lost(self) -> bool:
        """Publish again what the broker seems to have lost.

        While a queue holds a message for each task that should have one nothing is lost, however
        long they wait. Else at most the difference is published, the oldest first.
        """
        if not self.broker.is_connected:
            return False
        is_more = False
        for queue in await self.upkeep.overdue_queues():
            if queue not in self.queues:
                continue  # no operation has it any more; to ask for it would end the connection
            ready = await self.broker.count_ready(queue)
            missing = await self.upkeep.count_published(queue) - ready
            if missing <= 0:
                continue
            lost = await self.upkeep.take_lost(
                queue, limit=min(missing, self.batch), again_in_seconds=self.grace_seconds
            )
            await self._publish(lost, why="lost")
            is_more = is_more or len(lost) == self.batch
        return is_more

    async def _publish(self, due: list[DueTask], *, why: str) -> None:
        if not due:
            return
        outcomes = await asyncio.gather(*map(self._publish_one, due), return_exceptions=True)
        away: dict[UUID, BrokerUnavailableError] = {}
        for task, outcome in zip(due, outcomes, strict=True):
            if isinstance(outcome, BrokerUnavailableError):
                away[task.id] = outcome
            elif isinstance(outcome, Exception):
                # It counts as published, so it is not due again, and in nobody's way.
                self.bad_rows.set_aside(task.id, outcome)
        published = outcomes.count(None)
        RELAY_PUBLISHED.inc(published)
        PUBLISH_FAILURES.inc(len(away))
        log.info("relay published", why=why, published=published, failed=len(due) - published)
        if away:
            await self.store.hold(list(away))
            raise next(iter(away.values()))

    async def _publish_one(self, task: DueTask) -> None:
        await self.broker.publish(task.queue, TaskMessage(task.id, task.operation))
