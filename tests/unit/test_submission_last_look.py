"""The look at the row that ends a caller's wait."""

import asyncio
from typing import Any
from uuid import UUID

from asyncproxy import submission
from asyncproxy.submission import Submission
from asyncproxy.task_view import task_json
from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.task import TaskStatus, new_task_id


class HangingStore:
    async def find(self, _: UUID) -> Any:
        await asyncio.sleep(3_600)


class NoReply:
    async def wait(self, seconds: float) -> None:
        pass


async def test_a_database_that_hangs_does_not_hold_a_caller_past_its_window(monkeypatch: Any):
    monkeypatch.setattr(submission, "LAST_LOOK_SECONDS", 0.01)
    parts: dict[str, Any] = dict.fromkeys(Submission.__dataclass_fields__)
    task = NewTask(
        id=new_task_id(),
        operation="create-client",
        queue="clients",
        arguments=None,
        sealed_arguments=None,
        max_attempts=1,
        created_at=utc_now(),
        published=True,
        publish_in_seconds=30,
    )
    expected: Any = NoReply()
    parts["store"] = HangingStore()
    submitting = Submission(**parts)
    async with asyncio.timeout(5):
        result: Any = await submitting._wait(task, expected, 0)
    assert (result.id, result.status) == (task.id, TaskStatus.QUEUED)
    assert "arguments" not in task_json(result)  # they were let go while it waited
