"""A cancel that an executor has not seen yet when its attempt ends, on both databases."""

from collections.abc import Callable
from typing import Any

import pytest

from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.task import TaskStatus

SUCCEEDED = Outcome(TaskStatus.SUCCEEDED, Response(201, "application/json", b"{}"))
RETRY = Outcome(TaskStatus.QUEUED, retry_after_seconds=0)
INTERRUPTED = Outcome(TaskStatus.QUEUED, retry_after_seconds=0, is_given_back=True)


@pytest.mark.parametrize("outcome", [RETRY, INTERRUPTED])
async def test_a_task_whose_cancel_was_asked_for_gets_no_further_attempt(
    parts: Any, new_task: Callable[..., NewTask], outcome: Outcome
):
    claims = parts.claims("one")
    added = await parts.store.add(new_task())
    claimed = await claims.claim(added.id)
    await parts.store.cancel(added.id)
    recorded = await claims.finish(claimed, outcome)
    found = await parts.store.find(added.id)
    assert (recorded.status, found.status) == (TaskStatus.CANCELLED, TaskStatus.CANCELLED)
    assert found.error == recorded.error.to_json()
    assert found.finished_at is not None
    assert await claims.claim(added.id) is None


async def test_a_success_that_a_cancel_came_too_late_for_stays_a_success(
    parts: Any, new_task: Callable[..., NewTask]
):
    claims = parts.claims("one")
    added = await parts.store.add(new_task())
    claimed = await claims.claim(added.id)
    await parts.store.cancel(added.id)
    assert await claims.finish(claimed, SUCCEEDED) == SUCCEEDED
    assert (await parts.store.find(added.id)).status is TaskStatus.SUCCEEDED
