"""How many tasks wait, are held and run, by queue and operation."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from asynctasks.errors import ReadTooLongError
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.conditions import tasks
from asynctasks.statements.task_counts import Counts, TaskCounts
from asynctasks.task import TaskStatus

MakeTask = Callable[..., NewTask]
SUCCEEDED = Outcome(TaskStatus.SUCCEEDED, response=Response(200, "", b""))
JOB = {"url": "http://u/jobs/1"}


async def counts(parts: Any, seconds: float = 5) -> list[Counts]:
    found = await TaskCounts(parts.database).read(seconds=seconds)
    return sorted(found, key=lambda one: (one.queue, one.operation))


async def job(parts: Any, new: NewTask, *, published: bool) -> None:
    await parts.store.add(new)
    values = {"upstream_job": JOB, "published": published}
    async with parts.database.write() as connection:
        await connection.execute(update(tasks).where(tasks.c.id == new.id).values(**values))


async def test_each_task_is_counted_once_where_it_stands(parts: Any, new_task: MakeTask):
    assert await counts(parts) == []
    for _ in range(3):
        await parts.store.add(new_task(publish_in_seconds=0))
    for _ in range(2):
        await parts.store.add(new_task(published=True, publish_in_seconds=60))
    await parts.store.add(new_task(delay_seconds=60, publish_in_seconds=60))
    await job(parts, new_task(), published=True)
    await job(parts, new_task(), published=False)
    for _ in range(2):
        new = new_task(operation="other", published=True, publish_in_seconds=60)
        await parts.store.add(new)
    await parts.store.add(new_task(operation="other", queue="slow", publish_in_seconds=0))
    claims = parts.claims("one")
    running, done = new_task(), new_task()
    for new in (running, done):
        await parts.store.add(new)
        claimed = await claims.claim(new.id)
    await claims.finish(claimed, SUCCEEDED)
    found = await counts(parts)
    assert found == [
        Counts("clients", "create-client", held=3, published=2, delayed=1, running=3),
        Counts("clients", "other", published=2),
        Counts("slow", "other", held=1),
    ]
    assert [one.queued for one in found] == [6, 2, 1]


async def test_counting_that_takes_too_long_is_given_up(parts: Any):
    await counts(parts)  # or the thread of a connection that is being opened outlives the test
    with pytest.raises(ReadTooLongError):
        await counts(parts, seconds=0)
