"""Takes the polls that are due, many by one statement and without a message each.

    due, in the table ──▶ claimed, as many as there are free slots ──▶ asked for at once
          │
          └── nobody takes it: the relay publishes it (asyncproxy.relay.publish)

A message for each would cost more than the poll (docs/decisions/0010-upstream-jobs.md).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from asyncexecutor.intake import Intake
    from asyncexecutor.worker import Worker
    from asynctasks.statements.claimed_task import ClaimedTask
    from asynctasks.statements.claims import Claims

LOOK_SECONDS = 0.5
"""How often it is looked for what is due, whoever has left it there."""
GATHER_SECONDS = 0.1
"""The least between two looks: what comes due meanwhile is taken by one statement."""
MOST_AT_ONCE = 500
"""By one statement, as of other writes."""

log = structlog.get_logger(__name__)


class Polls:
    """Has an executor ask for the jobs of its operations when that is due."""

    def __init__(self, claims: Claims, worker: Worker, intake: Intake) -> None:
        self._claims = claims
        self._worker = worker
        self._intake = intake
        self._may_be_more = False
        self._timer: asyncio.TimerHandle | None = None
        self.loop = Loop("polls", self._take, interval_seconds=self._pause_seconds)
        worker.on_job = self._expect

    def _pause_seconds(self) -> float:
        return GATHER_SECONDS if self._may_be_more else LOOK_SECONDS

    def _expect(self, seconds: float) -> None:
        """Look again in so many seconds, if not sooner."""
        loop = asyncio.get_running_loop()
        due_at = loop.time() + max(seconds, GATHER_SECONDS)
        if self._timer is not None:
            if self._timer.when() <= due_at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due_at, self._look)

    def _look(self) -> None:
        self._timer = None
        self.loop.poke()

    async def _take(self) -> None:
        if not self._claims.claimable.polled:
            return
        slots = await self._intake.take_slots(most=MOST_AT_ONCE)
        taken: list[ClaimedTask] = []
        try:
            if slots:
                taken = await self._claims.take_polls(most=slots)
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad row must not end the executor
            # The relay brings each by a message of its own. Without the text, which may quote it.
            log.error("polls not taken", error=type(error).__name__)  # noqa: TRY400
        finally:
            self._intake.leave_slots(slots - len(taken))
        for task in taken:
            self._intake.begin(self._worker.poll(task))
        self._may_be_more = len(taken) == slots
