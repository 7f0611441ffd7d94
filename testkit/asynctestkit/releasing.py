"""What tests of limits share: operations that have one, an executor's claims, and releases."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import update

from asynctasks.broker.protocol import Broker
from asynctasks.database import Database
from asynctasks.instants import utc_now
from asynctasks.limits.limit import Limit
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.new_task import NewTask
from asynctasks.operations.operation import Operation
from asynctasks.outcome import Outcome
from asynctasks.releases import Releases
from asynctasks.statements.claims import Claimable, Claims
from asynctasks.statements.conditions import tasks
from asynctasks.statements.releases import HeldTasks
from asynctasks.statements.start_rates import start_rates
from asynctasks.statements.upkeep import DueTask
from asynctasks.task import TaskStatus
from asynctasks.upstream_job import UpstreamJob
from asynctestkit.inside import by_name, operation

MakeTask = Callable[..., NewTask]
OpenParts = Callable[[str], AbstractAsyncContextManager[Any]]
SUCCEEDED = Outcome(TaskStatus.SUCCEEDED)
JOB = UpstreamJob(url="http://upstream/jobs/1", started_at=utc_now().isoformat())
GRACE_SECONDS = 60


def _or_usual(operations: Iterable[Operation]) -> list[Operation]:
    return list(operations) or [operation(), operation("other")]


async def release(
    database: Database,
    *operations: Operation,
    queues: Sequence[str] = ("clients",),
    window: int | None = None,
) -> list[DueTask]:
    """What one release marks as published."""
    held = HeldTasks(database, grace_seconds=GRACE_SECONDS, window=window)
    groups = await held.waiting(queues)
    return list((await held.release(groups, by_name(_or_usual(operations)))).tasks)


def releases(database: Database, broker: Broker, *operations: Operation) -> Releases:
    """What publishes them, too; to be entered where it is to work in the background."""
    held = HeldTasks(database, grace_seconds=GRACE_SECONDS)
    return Releases(held, broker, LiveOperations(by_name(_or_usual(operations))))


def bounded(name: str = "create-client", **limit: Any) -> Operation:
    """An operation with the limit `crm`."""
    of = Limit.model_validate({"name": "crm", **limit})
    return operation(name, limits=("crm",)).bounded_by({"crm": of})


def claims_of(
    parts: Any,
    *operations: Operation,
    on_room: Callable[[], None] = lambda: None,
) -> Any:
    """An executor's of the queue `clients`, as `ServedOperations` leads it."""
    return Claims(
        parts.database,
        parts.commits,
        executor="one",
        lease_seconds=60,
        claimable=Claimable(
            "clients",
            {each.name: "own" for each in operations},
            limited=[each.name for each in operations if each.limits],
            released_with=["clients"],
            rates=partial(start_rates, operations, None),
        ),
        revision_wait_seconds=600,
        on_room=on_room,
    )


async def add(parts: Any, new_task: MakeTask, count: int = 1, **values: Any) -> list[UUID]:
    return [await parts.add(new_task(**values)) for _ in range(count)]


async def set_row(parts: Any, task_id: UUID, **values: Any) -> None:
    async with parts.database.write() as connection:
        await connection.execute(update(tasks).where(tasks.c.id == task_id).values(**values))


async def released(parts: Any, *operations: Operation, **given: Any) -> list[UUID]:
    return [task.id for task in await release(parts.database, *operations, **given)]
