"""A task's changes as server-sent events: the id of each is the task's version.

A client that reconnects sends the last id it saw (`Last-Event-ID`) and misses nothing that matters:
each event holds the whole task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from starlette.responses import StreamingResponse

from asyncproxy.task_view import task_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from asyncproxy.watch import Watch
    from asynctasks.task import Task

HEARTBEAT_SECONDS = 15.0
"""Below the idle time-out of the proxies on the way."""


def events_response(task: Task, watch: Watch, *, last_event_id: str | None) -> StreamingResponse:
    """The task as it stands, unless that was seen, then each change, until it has finished."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _events(task, watch, last_event_id), headers=headers, media_type="text/event-stream"
    )


async def _events(
    task: Task, watch: Watch, last_event_id: str | None
) -> AsyncGenerator[bytes, None]:
    if str(task.version) != last_event_id:
        yield _event(task)
    while not task.status.is_final and not watch.is_leaving:
        changed = await watch.until_changed(task, seconds=HEARTBEAT_SECONDS)
        yield _event(changed) if changed.version != task.version else b": still here\n\n"
        task = changed


def _event(task: Task) -> bytes:
    document = orjson.dumps(task_json(task), option=orjson.OPT_UTC_Z)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        task.version,
        task.status.value.encode(),
        document,
    )
