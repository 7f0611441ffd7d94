"""What becomes of a message whose task could not be claimed.

While a changed operations file is on its way to all, an executor is handed tasks that it does not
know how to run: they go back uncounted, for one that does.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

import structlog

from asynctasks.statements.conditions import MOST_PUT_BACK_SECONDS
from asynctasks.statements.unclaimed import Refusal, UnclaimedTask, UnclaimedTasks, refusal

if TYPE_CHECKING:
    from uuid import UUID

    from asynctasks.database import Database
    from asynctasks.statements.claimed_task import ClaimedTask
    from asynctasks.statements.claims import Claims

FIRST_PAUSE_SECONDS = 2.0
_PUT_BACK = "tasks put back: this executor's operations file has "
_TOLD = {
    Refusal.UNKNOWN_OPERATION: _PUT_BACK + "no such operation",
    Refusal.UNKNOWN_REVISION: _PUT_BACK + "an earlier revision of their operation",
}

log = structlog.get_logger(__name__)


class Miss(Enum):
    """What is left to do with the message."""

    FORGET = auto()
    CLAIM_AGAIN = auto()
    NO_SUCH_TASK = auto()
    JOB_LEFT_BEHIND = auto()
    """It has ended, and its upstream may still work on its job."""


class Misses:
    """Looks why a claim found nothing, and puts back what another executor has to run."""

    def __init__(self, database: Database, claims: Claims) -> None:
        self._unclaimed = UnclaimedTasks(database)
        self._claims = claims
        self._told: set[tuple[str, str | None]] = set()

    async def settle(self, task_id: UUID) -> Miss:
        """Do what the task needs; what its message needs. Raises DatabaseUnavailableError."""
        claimable = self._claims.claimable
        task = await self._unclaimed.find(task_id, claimable)
        why = refusal(task, claimable)
        if task is None:
            return Miss.NO_SUCH_TASK
        if why is Refusal.JOB_LEFT_BEHIND:
            return Miss.JOB_LEFT_BEHIND
        if why is Refusal.OLDER_REVISION:
            assert task.revision is not None
            claimable.older.add(task.revision)
            return Miss.CLAIM_AGAIN
        if why is Refusal.NO_LONGER:
            return Miss.CLAIM_AGAIN
        if why is Refusal.HELD:
            await self._unclaimed.hold(task_id)
        elif why is Refusal.OTHER_QUEUE:
            await self._unclaimed.put_back(task_id, publish_in_seconds=0.0)
        elif why in _TOLD:
            self._tell(task, _TOLD[why])
            pause = pause_seconds(age_seconds=task.age_seconds)
            await self._unclaimed.put_back(task_id, publish_in_seconds=pause)
        return Miss.FORGET

    async def left_behind(self, task_id: UUID) -> ClaimedTask | None:
        """The task whose job is to be ended; raises DatabaseUnavailableError."""
        return await self._unclaimed.left_behind(task_id)

    def _tell(self, task: UnclaimedTask, event: str) -> None:
        if (task.operation, task.revision) not in self._told:
            self._told.add((task.operation, task.revision))
            log.warning(
                event,
                operation=task.operation,
                revision=task.revision,
                own_revision=self._claims.claimable.revisions.get(task.operation),
            )


def pause_seconds(*, age_seconds: float) -> float:
    """How long a task of this age is kept back before it is offered again."""
    return min(FIRST_PAUSE_SECONDS + max(0.0, age_seconds) / 10, MOST_PUT_BACK_SECONDS)
