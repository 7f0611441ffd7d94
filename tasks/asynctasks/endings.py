"""Why a task ends without an answer of its upstream, where that is no failure of an attempt."""

from __future__ import annotations

from asynctasks.response import Problem

CANCELLED_WHILE_QUEUED = Problem(
    "task-cancelled", "The task was cancelled", 409, "Someone asked for its end before it ran."
)
CANCELLED_WHILE_RUNNING = Problem(
    "task-cancelled", "The task was cancelled", 409, "Someone asked for its end while it ran."
)
CANCELLED_WITHOUT_EXECUTOR = Problem(
    "task-cancelled", "The task was cancelled", 409, "No executor was there that could end it."
)
EXPIRED = Problem(
    "task-expired", "The task's deadline has passed", 504, "It had not finished by its deadline."
)
INTERRUPTED_TOO_OFTEN = Problem(
    "task-interrupted-too-often",
    "The task was interrupted too often",
    500,
    "Each executor that ran it went before the attempt had ended; it may be what ends them.",
)
