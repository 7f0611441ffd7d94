"""The statements on deliveries: the tasks that tell of other tasks' ends.

They are added by a trigger, in the transaction that ends the task: see
`asynctasks.migrations.delivery_trigger`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select

from asynctasks.errors import DeliveryNotFoundError
from asynctasks.instants import utc_now
from asynctasks.statements.conditions import NOW, tasks
from asynctasks.task import TaskStatus, new_task_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from asynctasks.database import Database

MOST_DELIVERIES = 1_000
"""Of one task that are shown, the first of them."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery, as the caller whose task it tells of is shown it."""

    number: int
    """From 1, in the order in which they were added."""
    task_id: UUID
    """Of itself: a delivery is a task."""
    delivery_id: str
    """By which its receiver knows it; equal where it tells once more of the same end."""
    url: str
    event: TaskStatus
    """The end that it tells of."""
    status: TaskStatus
    attempts: Sequence[dict[str, Any]]
    created_at: datetime
    finished_at: datetime | None
    next_attempt_at: datetime | None


class Deliveries:
    """The deliveries of tasks. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, task_id: UUID) -> Sequence[Delivery]:
        """All that tell of this task's ends, the first one first."""
        async with self._database.read() as connection:
            rows = (await connection.execute(_OF_TASK, {"of_task": task_id})).all()
        return [_delivery(number, row) for number, row in enumerate(rows, start=1)]

    async def add_again(self, task_id: UUID, *, number: int) -> Delivery:
        """A new one that tells what the task's delivery of this number tells.

        Raises DeliveryNotFoundError.
        """
        async with self._database.write() as connection:
            rows = (await connection.execute(_OF_TASK, {"of_task": task_id})).all()
            if not 0 < number <= len(rows):
                raise DeliveryNotFoundError(task_id, number)
            row = rows[number - 1]
            added = await connection.execute(
                insert(tasks)
                .values(
                    id=new_task_id(),
                    arguments={**row.arguments, "deliveryId": _delivery_id(row)},
                    created_at=utc_now(),
                    next_publish_at=NOW,
                    **{column.name: getattr(row, column.name) for column in _KEPT},
                )
                .returning(*_SHOWN)
            )
            return _delivery(len(rows) + 1, added.one())


def _delivery(number: int, row: Any) -> Delivery:
    return Delivery(
        number=number,
        task_id=row.id,
        delivery_id=_delivery_id(row),
        url=row.arguments["url"],
        event=TaskStatus(row.arguments["task"]["status"]),
        status=row.status,
        attempts=row.attempts,
        created_at=row.created_at,
        finished_at=row.finished_at,
        next_attempt_at=row.run_after if row.status is TaskStatus.QUEUED else None,
    )


def _delivery_id(row: Any) -> str:
    return str(row.arguments.get("deliveryId", row.id))


_KEPT = [
    tasks.c[name]
    for name in (
        "operation",
        "queue",
        "principal",
        "tenant",
        "delivery_of",
        "max_attempts",
        "traceparent",
        "tracestate",
    )
]
_SHOWN = [
    tasks.c[name]
    for name in (
        "id",
        "arguments",
        "status",
        "attempts",
        "created_at",
        "finished_at",
        "run_after",
    )
]
_OF_TASK = (
    select(*_SHOWN, *_KEPT)
    .where(tasks.c.delivery_of == bindparam("of_task"))
    .order_by(tasks.c.id)
    .limit(MOST_DELIVERIES)
)
