"""A task's changes as server-sent events: the id of each is the task's version.

A client that reconnects sends the last id it saw (`Last-Event-ID`) and misses nothing that matters:
each event holds the whole task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from asyncproxy.task_view import task_document
from asynctasks.errors import DatabaseUnavailableError, TaskNotFoundError, TaskUnreadableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from asyncproxy.caller import Caller
    from asyncproxy.watch import Watch
    from asynctasks.task import Task

HEARTBEAT_SECONDS = 15.0
"""Below the idle time-out of the proxies on the way."""
COMMENT = b": still here\n\n"

log = structlog.get_logger(__name__)


def events_response(
    task: Task, watch: Watch, caller: Caller, *, last_event_id: str | None, prefix: str = ""
) -> Response:
    """The task as it stands, unless that was seen, then each change, until it has finished.

    204 where nothing can follow: by that a client stops connecting anew (HTML §9.2.3).
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if task.status.is_final and str(task.version) == last_event_id:
        return Response(status_code=204, headers=headers)
    # Made here, where an error is still a problem for the caller and not a stream that breaks.
    first = b"" if str(task.version) == last_event_id else _event(task, prefix)
    events = _events(task, watch, caller, first, prefix)
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


async def _events(
    task: Task, watch: Watch, caller: Caller, first: bytes, prefix: str
) -> AsyncGenerator[bytes, None]:
    caller.filler = COMMENT
    if first:
        yield first
    # Without room for one more watcher, as on an error, the client connects again in a while.
    while not task.status.is_final and watch.has_room:
        try:
            changing = watch.until_changed(task, seconds=HEARTBEAT_SECONDS)
            changed = await caller.unless_gone(changing)
            has_changed = changed.version != task.version
            event = _event(changed, prefix) if has_changed else COMMENT
        except ClientDisconnect:
            return
        except (TaskNotFoundError, TaskUnreadableError, DatabaseUnavailableError) as error:
            log.info("events ended", task_id=str(task.id), reason=str(error))
            return
        yield event
        task = changed


def _event(task: Task, prefix: str) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        task.version,
        task.shown_status.value.encode(),
        task_document(task, prefix=prefix),
    )
