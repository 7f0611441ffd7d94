"""Where callers find a task and what there is of it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from asynctasks.errors import TaskNotFoundError

What = Literal[
    "self", "response", "operation", "events", "cancel", "retry", "deliveries", "redeliver"
]
ONE = "/tasks/{task_id}"
PATHS: dict[What, str] = {
    "self": ONE,
    "response": f"{ONE}/response",
    "operation": f"{ONE}/operation",
    "events": f"{ONE}/events",
    "cancel": f"{ONE}/cancel",
    "retry": f"{ONE}/retry",
    "deliveries": f"{ONE}/deliveries",
    "redeliver": f"{ONE}/deliveries/{{number}}/redeliver",
}
_LINKED: tuple[What, ...] = ("self", "response", "events", "cancel", "retry")


def task_id_of(text: str) -> UUID:
    """The id that an address names; raises TaskNotFoundError where it can be no task's."""
    try:
        return UUID(text)
    except ValueError as error:
        raise TaskNotFoundError(text[:64]) from error


def task_address(task_id: UUID, what: What = "self", *, prefix: str) -> str:
    """The address of a task or of something of it, as its callers are given it."""
    return prefix + PATHS[what].format(task_id=task_id)


def task_links(task_id: UUID, *, prefix: str) -> dict[str, str]:
    """The addresses that stand in the task itself."""
    return {what: task_address(task_id, what, prefix=prefix) for what in _LINKED}
