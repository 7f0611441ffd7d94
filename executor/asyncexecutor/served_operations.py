"""What one executor runs: the operations of its queue, and how that changes while it runs them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from asynctasks.releases import queues_together
from asynctasks.statements.claims import Claimable
from asynctasks.statements.revisions import register_revisions
from asynctasks.statements.start_rates import start_rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncexecutor.runnables import Runnables
    from asyncexecutor.worker import Worker
    from asynctasks.database import Database
    from asynctasks.limits.gates import Gates
    from asynctasks.operations.operation import Operations
    from asynctasks.operations.sealing import Sealing
    from asynctasks.statements.claims import Claims


class ServedOperations:
    """Leads an executor's claims and its worker to the operations of its queue."""

    def __init__(
        self,
        worker: Worker,
        claims: Claims,
        *,
        queue: str,
        database: Database,
        sealing: Sealing,
        runnables: Runnables,
        gates: Gates,
    ) -> None:
        self._worker = worker
        self._claims = claims
        self._queue = queue
        self._database = database
        self._sealing = sealing
        self._runnables = runnables
        self._gates = gates

    async def prepare(self, operations: Operations) -> Callable[[], None]:
        """Make ready to run those of the queue, of which there may be none.

        Raises SealingKeyMissingError, OperationsFileError, DatabaseUnavailableError.
        """
        served = [each for each in operations.values() if each.queue == self._queue]
        self._sealing.require_key(each.name for each in served if each.needs_sealing)
        runnables = self._runnables.of(served)
        queues = queues_together(operations).get(self._queue, frozenset())
        claimable = Claimable(
            self._queue,
            {each.name: each.revision for each in served},
            held=partial(self._gates.held_among, served),
            limited=[
                each.name for each in operations.values() if each.limits and each.queue in queues
            ],
            released_with=list(queues),
            rates=partial(start_rates, [each for each in served if each.limits], self._gates),
            polled=[each.name for each in served if each.upstream and each.upstream.poll],
        )
        await register_revisions(self._database, operations)

        def swap() -> None:
            self._worker.add(runnables)
            self._claims.claimable = claimable

        return swap
