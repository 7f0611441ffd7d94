"""The relay: brings every task on that nobody else does.

It publishes what is due (first publish failed, retry, delayed start) and what was lost, queues the
tasks of dead executors, ends those past their deadline, and forgets old tasks and executors. Any
number of proxies may run one: each row is given to one of them, and every step may be repeated.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import structlog

from asyncproxy.metrics import (
    PUBLISH_FAILURES,
    RELAY_EXPIRED,
    RELAY_PUBLISHED,
    RELAY_PURGED,
    RELAY_RETURNED,
)
from asynctasks.broker.messages import Reply, TaskMessage
from asynctasks.errors import BrokerUnavailableError, DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from asyncproxy.settings import ProxySettings
    from asynctasks.broker.protocol import Broker
    from asynctasks.statements.roster import Roster
    from asynctasks.statements.store import TaskStore
    from asynctasks.statements.upkeep import DueTask, EndedTask, Upkeep

BATCH = 200
PURGE_BATCH = 1_000
LATE_SECONDS = 1.0
"""How often dead leases and passed deadlines are looked for."""
PURGE_SECONDS = 60.0
UNSEEN_SECONDS = 3_600.0
"""An executor that has not reported itself for so long is gone: it was killed, or its node was."""
SETTLE_SECONDS = 5.0
"""After an outage of the database executors renew their leases; until then they only seem dead."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """One proxy's share in publishing what is due, and in ending or forgetting what is over."""

    store: TaskStore
    upkeep: Upkeep
    roster: Roster
    broker: Broker
    settings: ProxySettings

    async def run(self) -> NoReturn:
        """Do all of it until cancelled; a database or broker that is away is waited for."""
        grace = self.settings.publish_grace_seconds
        async with asyncio.TaskGroup() as tasks:
            for step, interval, settle in (
                (self.publish_due, self.settings.relay_interval_seconds, 0.0),
                (self.publish_lost, grace / 2, 0.0),
                (self.return_dead, LATE_SECONDS, SETTLE_SECONDS),
                (self.expire, LATE_SECONDS, 0.0),
                (self.purge, PURGE_SECONDS, 0.0),
                (self.forget_executors, PURGE_SECONDS, 0.0),
            ):
                tasks.create_task(
                    _repeat(
                        step,
                        interval,
                        settle_seconds=settle,
                        is_database_there=self.upkeep.ping,
                    ),
                    name=f"relay {step.__name__}",
                )
        raise AssertionError("the relay's loops have no end")

    async def publish_due(self) -> bool:
        """Publish a batch of tasks that are due; whether there may be more.

        Raises DatabaseUnavailableError, BrokerUnavailableError; what was not published stays due.
        """
        if not self.broker.is_connected:
            return False
        due = await self.upkeep.take_due(
            limit=BATCH, again_in_seconds=self.settings.publish_grace_seconds
        )
        await self._publish(due, why="due")
        return len(due) == BATCH

    async def publish_lost(self) -> bool:
        """Publish again what the broker seems to have lost; see `publish_due` for the rest.

        While a queue holds a message for each task that should have one nothing is lost, however
        long they wait. Else at most the difference is published, the oldest first.
        """
        if not self.broker.is_connected:
            return False
        is_more = False
        for queue in await self.upkeep.overdue_queues():
            ready = await self.broker.count_ready(queue)
            missing = await self.upkeep.count_published(queue) - ready
            if missing <= 0:
                continue
            lost = await self.upkeep.take_lost(
                queue,
                limit=min(missing, BATCH),
                again_in_seconds=self.settings.publish_grace_seconds,
            )
            await self._publish(lost, why="lost")
            is_more = is_more or len(lost) == BATCH
        return is_more

    async def return_dead(self) -> bool:
        """Queue the tasks of executors that are gone; whether there may be more."""
        rows, ended = await self.upkeep.return_dead(limit=BATCH)
        RELAY_RETURNED.inc(rows)
        if rows:
            log.warning("tasks of dead executors returned", tasks=rows, cancelled=len(ended))
        await self._tell(ended)
        return rows == BATCH

    async def expire(self) -> bool:
        """End the tasks that are past their deadline; whether there may be more."""
        ended = await self.upkeep.expire(limit=BATCH)
        RELAY_EXPIRED.inc(len(ended))
        if ended:
            log.info("tasks expired", tasks=len(ended))
        await self._tell(ended)
        return len(ended) == BATCH

    async def purge(self) -> bool:
        """Forget a batch of old tasks; whether there may be more."""
        purged = await self.upkeep.purge(
            limit=PURGE_BATCH, retention_seconds=self.settings.retention_seconds
        )
        RELAY_PURGED.inc(purged)
        if purged:
            log.info("finished tasks forgotten", tasks=purged)
        return purged == PURGE_BATCH

    async def forget_executors(self) -> bool:
        """Take executors that are gone off the roster; all at once, as they are few."""
        forgotten = await self.roster.forget(older_than_seconds=UNSEEN_SECONDS)
        if forgotten:
            log.info("executors forgotten", executors=forgotten)
        return False

    async def _publish(self, due: list[DueTask], *, why: str) -> None:
        if not due:
            return
        outcomes = await asyncio.gather(
            *(
                self.broker.publish(task.queue, TaskMessage(task.id, task.operation))
                for task in due
            ),
            return_exceptions=True,
        )
        failed = [
            (task.id, outcome)
            for task, outcome in zip(due, outcomes, strict=True)
            if outcome is not None
        ]
        RELAY_PUBLISHED.inc(len(due) - len(failed))
        PUBLISH_FAILURES.inc(len(failed))
        log.info("relay published", why=why, published=len(due) - len(failed), failed=len(failed))
        if failed:
            await self.store.make_due([task_id for task_id, _ in failed])
            raise failed[0][1]

    async def _tell(self, ended: Iterable[EndedTask]) -> None:
        for task in ended:
            if task.reply_to is not None:
                reply = Reply(task.id, task.status, error=task.error)
                await self.broker.reply(task.reply_to, reply)


async def _repeat(
    step: Callable[[], Awaitable[bool]],
    interval_seconds: float,
    *,
    settle_seconds: float,
    is_database_there: Callable[[], Awaitable[None]],
) -> NoReturn:
    """Take the step, again at once while there is more, and after the interval for ever.

    After the database was away, wait for it and then so long as it takes to settle.
    """
    was_away = False
    while True:
        try:
            if was_away and settle_seconds:
                await is_database_there()
                await asyncio.sleep(settle_seconds)
            was_away = False
            while await step():
                pass
        except DatabaseUnavailableError as error:
            was_away = True
            log.warning("relay waits", step=step.__name__, reason=str(error))
        except BrokerUnavailableError as error:
            log.warning("relay waits", step=step.__name__, reason=str(error))
        await asyncio.sleep(interval_seconds)
