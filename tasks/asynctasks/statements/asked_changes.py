"""What a caller's cancel, retry and delete make of a task's row, of one task and of many alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import case, update

from asynctasks.blob import ORPHANED_SECONDS
from asynctasks.endings import CANCELLED_WHILE_QUEUED
from asynctasks.instants import seconds_from_now
from asynctasks.statements.conditions import ANSWER_COLUMNS, NOW, blobs, tasks
from asynctasks.statements.id_list import is_one_of
from asynctasks.task import TaskStatus

CANCEL_SECONDS = 30.0
"""How long executors have to end a task with an upstream's job before it ends without them."""


def cancelled(status: TaskStatus, *, has_job: bool) -> dict[str, Any]:
    """Of a task that has not finished, and whose end nobody has asked for."""
    if status is TaskStatus.QUEUED and not has_job:
        return {
            "status": TaskStatus.CANCELLED,
            "finished_at": NOW,
            "next_publish_at": None,
            "error": CANCELLED_WHILE_QUEUED.to_json(),
        }
    values: dict[str, Any] = {"cancel_requested": True}
    if status is TaskStatus.QUEUED:
        # An executor ends it, which can tell the upstream; now, not at the next poll.
        values |= {"published": False, "run_after": NOW, "next_publish_at": NOW}
    if has_job:
        # The relay does where none comes: perhaps nobody has its operation any more.
        values["deadline"] = _DEADLINE_OF_CANCEL
    return values


def retried(more_attempts: Any) -> dict[str, Any]:
    """Of a task that has failed, was cancelled or has expired."""
    return {
        "status": TaskStatus.QUEUED,
        # All attempts so far count as used, interrupted ones too, and none is owed.
        "max_attempts": tasks.c.attempt + more_attempts,
        "interruptions": 0,
        "drains": 0,
        "published": False,
        "next_publish_at": NOW,
        "run_after": None,
        "cancel_requested": False,
        "reply_to": None,
        # Another may run by now that has it, and this is no caller's call any more.
        "coalescing_key": None,
        "finished_at": None,
        # One that has passed, perhaps after it had failed, would end it again at once.
        "deadline": case((tasks.c.deadline > NOW, tasks.c.deadline), else_=None),
        **dict.fromkeys((*ANSWER_COLUMNS, "progress", "message", "upstream_job")),
    }


_CANCELLED_BY = seconds_from_now(CANCEL_SECONDS)
_DEADLINE_OF_CANCEL = case(
    (tasks.c.deadline < _CANCELLED_BY, tasks.c.deadline), else_=_CANCELLED_BY
)
ORPHAN = (
    update(blobs)
    .where(is_one_of(blobs.c.task_id))
    .values(touched_at=seconds_from_now(-ORPHANED_SECONDS))
)
"""Of deleted tasks: so the relay deletes them when it looks next, not only when they could be
nobody's."""
