"""Carries out batches: what callers want done with many tasks, a bounded number in each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from asyncproxy.access.audit import Entry
from asyncproxy.batch_order import BatchFilter
from asyncproxy.metrics import RELAY_BATCH_TASKS
from asyncproxy.relay.bad_rows import BadRows
from asyncproxy.relay.telling import log_moved, tell
from asynctasks.errors import AsyncApiProxyError, ReadTooLongError
from asynctasks.statements.owners import Listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynctasks.batch import Batch
    from asynctasks.broker.protocol import Broker
    from asynctasks.statements.batch_search import BatchSearch
    from asynctasks.statements.batch_steps import BatchSteps
    from asynctasks.statements.batches import Batches
    from asynctasks.statements.pages import Filter

LARGEST_SHARE = 0.5
"""Of the time, at most so much goes into steps: between two of them others have their turn."""

log = structlog.get_logger(__name__)


class BatchDuty:
    """The duty. Any number of relays may have it: each step is made by one of them."""

    def __init__(
        self,
        batches: Batches,
        search: BatchSearch,
        steps: BatchSteps,
        broker: Broker,
        *,
        interval_seconds: float,
        audit: Callable[[Entry], None] | None,
    ) -> None:
        """`audit` is told what has come of each batch that has ended."""
        self._batches = batches
        self._search = search
        self._steps = steps
        self._broker = broker
        self._audit = audit
        self._bad_rows = BadRows("batches")
        self._usual_seconds = interval_seconds
        self.interval_seconds = interval_seconds
        """Until it is to look next."""

    async def step(self) -> None:
        """Make a step of the batch that waits longest; raises DatabaseUnavailableError."""
        self.interval_seconds = self._usual_seconds
        unfinished = await self._batches.unfinished(limit=1 + len(self._bad_rows))
        ids = self._bad_rows.without(batch.id for batch in unfinished)
        batch = next((batch for batch in unfinished if batch.id in ids), None)
        if batch is None:
            return
        try:
            has_stepped = await self._step(batch)
        except ReadTooLongError:
            return  # lists have all connections for dear reads, or the database is slow now
        except AsyncApiProxyError:
            raise  # something is away, which is the fault of no batch
        except Exception as error:  # noqa: BLE001 - a row may hold anything, so it may fail anyhow
            self._bad_rows.set_aside(batch.id, error)
            return
        if has_stepped:
            self.interval_seconds = 0.0

    async def _step(self, batch: Batch) -> bool:
        """Whether the step was made here."""
        which = _which(batch)
        found = await self._search.find(batch, which)
        stepped = await self._steps.step(batch, found, status=which.status)
        if stepped is None:
            return False
        RELAY_BATCH_TASKS.labels(batch.action.value).inc(stepped.batch.done - batch.done)
        log_moved(stepped.ended)
        await tell(self._broker, stepped.ended)
        if stepped.batch.status.is_final:
            log.info(
                "batch finished",
                batch_id=str(batch.id),
                action=batch.action.value,
                principal=batch.principal,
                **stepped.batch.counts,
            )
            if self._audit is not None:
                self._audit(_entry(stepped.batch))
        return True


def _which(batch: Batch) -> Filter:
    """Raises what pydantic does where a later version has written the row."""
    listed = None if batch.listed is None else list(map(_part, batch.listed))
    return BatchFilter.model_validate(batch.filter).which(listed)


def _part(kept: dict[str, Any]) -> Listed:
    lists = {name: tuple(kept[name]) for name in ("operations", "but")}
    return Listed(principal=kept["principal"], tenant=kept["tenant"], **lists)


def _entry(batch: Batch) -> Entry:
    return Entry(
        action=batch.action.value,
        actor=batch.principal,
        tenant=batch.tenant,
        operation=batch.filter.get("operation"),
        task_id=None,
        target=batch.outcome,
        address=None,
        trace_id=None,
        result="done",
    )
