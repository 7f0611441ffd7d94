"""The relay: publishes every task that is due and that no proxy could publish, or whose message
was lost. Any number of proxies may run one; each due row is given to one of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import structlog

from asynctasks.errors import BrokerUnavailableError, DatabaseUnavailableError
from asynctasks.messages import TaskMessage

if TYPE_CHECKING:
    from asynctasks.broker import Broker
    from asynctasks.store import DueTask, TaskStore

BATCH = 200

log = structlog.get_logger(__name__)


class Relay:
    """One proxy's relay."""

    def __init__(
        self, store: TaskStore, broker: Broker, *, interval_seconds: float, again_in_seconds: float
    ) -> None:
        self._store = store
        self._broker = broker
        self._interval_seconds = interval_seconds
        self._again_in_seconds = again_in_seconds

    async def run(self) -> NoReturn:
        """Publish what is due, until cancelled; a database or broker that is away is waited for."""
        while True:
            try:
                while await self.publish_due() == BATCH:
                    pass
            except (DatabaseUnavailableError, BrokerUnavailableError) as error:
                log.warning("relay waits", reason=str(error))
            await asyncio.sleep(self._interval_seconds)

    async def publish_due(self) -> int:
        """Publish a batch of due tasks and return how many there were.

        Raises DatabaseUnavailableError, BrokerUnavailableError; what was not published stays due.
        """
        if not self._broker.is_connected:
            return 0
        due = await self._store.take_due(limit=BATCH, again_in_seconds=self._again_in_seconds)
        failures = [
            (task, outcome)
            for task, outcome in zip(
                due,
                await asyncio.gather(*map(self._publish, due), return_exceptions=True),
                strict=True,
            )
            if outcome is not None
        ]
        if due:
            log.info("relay published", published=len(due) - len(failures), failed=len(failures))
        if failures:
            await self._store.make_due([task.id for task, _ in failures])
            raise failures[0][1]
        return len(due)

    async def _publish(self, task: DueTask) -> None:
        await self._broker.publish(task.queue, TaskMessage(task.id, task.operation))
