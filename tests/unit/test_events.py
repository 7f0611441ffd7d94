"""Server-sent events of a task that nothing happens to."""

from typing import Any

from starlette.responses import StreamingResponse

from asyncproxy.caller import Caller
from asyncproxy.events import HEARTBEAT_SECONDS, events_response
from asynctasks.instants import utc_now
from asynctasks.task import Task, TaskStatus, new_task_id

TASK = Task(
    id=new_task_id(),
    operation="create-client",
    queue="clients",
    status=TaskStatus.QUEUED,
    arguments={},
    max_attempts=1,
    created_at=utc_now(),
)


class IdleWatch:
    """Says that nothing has changed, so many times; then it has no room."""

    def __init__(self, times: int) -> None:
        self.waits: list[float] = []
        self._times = times

    @property
    def has_room(self) -> bool:
        return len(self.waits) < self._times

    async def until_changed(self, task: Task, *, seconds: float) -> Task:
        self.waits.append(seconds)
        return task


async def test_events_of_an_idle_task_keep_the_connection_alive():
    watch: Any = IdleWatch(times=2)
    response = events_response(TASK, watch, Caller(), last_event_id=None)
    assert isinstance(response, StreamingResponse)
    first, *rest = [part async for part in response.body_iterator]
    assert isinstance(first, bytes)
    assert first.startswith(b"id: 1\nevent: queued\n")
    assert rest == [b": still here\n\n"] * 2
    assert watch.waits == [HEARTBEAT_SECONDS] * 2
