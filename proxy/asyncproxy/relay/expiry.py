"""Ends the tasks that are past their deadline, or whose cancel no executor has seen to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from asyncproxy.metrics import RELAY_EXPIRED
from asyncproxy.relay.bad_rows import BadRows
from asyncproxy.relay.telling import log_moved, tell
from asynctasks.broker.messages import TaskMessage
from asynctasks.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asynctasks.broker.protocol import Broker
    from asynctasks.statements.upkeep import MovedTask, Upkeep

log = structlog.get_logger(__name__)


class Expiry:
    """The duty."""

    def __init__(self, upkeep: Upkeep, broker: Broker, *, batch: int = 200) -> None:
        self._upkeep = upkeep
        self._broker = broker
        self._batch = batch
        self._bad_rows = BadRows("expiry")

    async def expire(self) -> bool:
        """End a batch of them; whether there may be more. Raises DatabaseUnavailableError."""
        late = await self._upkeep.late(limit=self._batch + len(self._bad_rows))
        batch = self._bad_rows.without(late)[: self._batch]
        ended = await self._bad_rows.apart(batch, self._upkeep.expire)
        RELAY_EXPIRED.inc(len(ended))
        log_moved(ended)
        await tell(self._broker, ended)
        await self._leave_behind(ended)
        # None where another relay has just taken them.
        return bool(ended) and len(batch) == self._batch

    async def _leave_behind(self, ended: Iterable[MovedTask]) -> None:
        """Have executors end the jobs of upstreams that nobody waits for any more."""
        for task in ended:
            if (left := task.job_left_behind) is None:
                continue
            try:
                await self._broker.publish(left.queue, TaskMessage(left.id, left.operation))
            except BrokerUnavailableError as error:
                log.warning("upstream job not ended", task_id=str(task.id), reason=str(error))
