"""A task as an executor has claimed it."""

from typing import Any

from asynctasks.instants import utc_now
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.task import new_task_id


def claimed_task(**values: Any) -> ClaimedTask:
    """One of its first attempt; a test names what matters to it."""
    defaults: dict[str, Any] = {
        "id": new_task_id(),
        "operation": "wait",
        "arguments": {},
        "sealed_arguments": None,
        "attempt": 1,
        "interruptions": 0,
        "max_attempts": 5,
        "attempts": [],
        "attempt_started_at": utc_now(),
        "executor": "one",
        "reply_to": None,
    }
    return ClaimedTask(**(defaults | values))
