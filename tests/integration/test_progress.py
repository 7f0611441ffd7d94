"""How far an attempt has come, from its handler to its callers, on both databases."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from asyncexecutor.handler_context import HandlerContext
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.claims import Progress
from asynctasks.task import TaskStatus
from asynctestkit.inside import accepted, inside, one_of_each, operation

SUCCEEDED = Outcome(TaskStatus.SUCCEEDED, Response(204, "", b""))
RETRY = Outcome(TaskStatus.QUEUED, retry_after_seconds=0)


async def test_what_an_attempt_tells_is_in_the_row_and_a_change_of_it(
    parts: Any, new_task: Callable[..., NewTask]
):
    claims, added = parts.claims("one"), await parts.store.add(new_task())
    task = await claims.claim(added.id)
    before = await parts.store.find(added.id)
    await claims.report(Progress(task.id, task.attempt, 40, "step 2"))
    after = await parts.store.find(added.id)
    assert (after.progress, after.message, after.version) == (40, "step 2", before.version + 1)
    assert await claims.finish(task, SUCCEEDED) == SUCCEEDED


@pytest.mark.parametrize("late", ["another attempt", "another executor", "finished"])
async def test_what_is_told_too_late_is_not_written(
    parts: Any, new_task: Callable[..., NewTask], late: str
):
    claims, added = parts.claims("one"), await parts.store.add(new_task())
    task = await claims.claim(added.id)
    if late == "finished":
        await claims.finish(task, SUCCEEDED)
    teller = parts.claims("two") if late == "another executor" else claims
    attempt = 7 if late == "another attempt" else task.attempt
    await teller.report(Progress(task.id, attempt, 40, "step 2"))
    assert (await parts.store.find(added.id)).progress is None


async def test_a_new_attempt_begins_without_the_progress_of_the_one_before(
    parts: Any, new_task: Callable[..., NewTask]
):
    claims, added = parts.claims("one"), await parts.store.add(new_task())
    task = await claims.claim(added.id)
    await claims.report(Progress(task.id, task.attempt, 40, "step 2"))
    await claims.finish(task, RETRY)
    assert (await parts.store.find(added.id)).progress == 40
    await claims.claim(added.id)
    found = await parts.store.find(added.id)
    assert (found.progress, found.message) == (None, None)


MAY_END = asyncio.Event()


async def render(arguments: dict[str, Any], context: HandlerContext) -> bytes:
    del arguments
    for percent in range(90):
        await context.progress(percent, f"page {percent}")
    await MAY_END.wait()
    await context.progress(100, "done")
    return b"%PDF"


async def test_callers_see_how_far_a_handler_has_come_and_always_what_it_told_last(
    sqlite_url: str,
):
    MAY_END.clear()
    declared = operation(upstream=None, handler=f"{__name__}:render")
    async with inside(declared, database_url=sqlite_url, broker_url="memory://") as place:
        client = await one_of_each(place)
        task_id = await accepted(client)
        events: list[tuple[Any, Any]] = []
        async with client.stream("GET", f"/tasks/{task_id}/events", timeout=20) as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data: "):
                    continue
                task = json.loads(line.removeprefix("data: "))
                events.append((task["progress"], task["message"]))
                if task["progress"] == 89:
                    MAY_END.set()
                if task["done"]:
                    break
        # 90 were told within a moment, and one of them was written.
        assert next(each for each in events if each[0] is not None) == (89, "page 89")
        assert events[-1] == (100, "done")
        answer = await client.get(f"/tasks/{task_id}/response")
        assert (answer.content, answer.headers["content-type"]) == (
            b"%PDF",
            "application/octet-stream",
        )
