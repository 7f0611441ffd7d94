"""A task's changes as server-sent events: the id of each is the task's version.

A client that reconnects sends the last id it saw (`Last-Event-ID`) and misses nothing that matters:
each event holds the whole task.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from asyncproxy.holds import not_held
from asyncproxy.task_view import task_document
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from asyncproxy.access.access import Grant
    from asyncproxy.caller import Caller
    from asyncproxy.holds import HoldOf
    from asyncproxy.watch import Watch
    from asynctasks.task import Task

HEARTBEAT_SECONDS = 15.0
"""Below the idle time-out of the proxies on the way."""
COMMENT = b": still here\n\n"

log = structlog.get_logger(__name__)


def events_response(
    task: Task,
    watch: Watch,
    caller: Caller,
    *,
    grant: Grant | None = None,
    last_event_id: str | None,
    prefix: str = "",
    hold_of: HoldOf = not_held,
) -> Response:
    """The task as it stands, unless that was seen, then each change, until it has finished.

    204 where nothing can follow: by that a client stops connecting anew (HTML §9.2.3).
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if task.status.is_final and str(task.version) == last_event_id:
        return Response(status_code=204, headers=headers)
    # Made here, where an error is still a problem for the caller and not a stream that breaks.
    document = partial(task_document, prefix=prefix, hold_of=hold_of)
    first = b"" if str(task.version) == last_event_id else _event(task, document)
    events = _events(task, watch, caller, grant=grant, first=first, document=document)
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


async def _events(
    task: Task,
    watch: Watch,
    caller: Caller,
    *,
    grant: Grant | None,
    first: bytes,
    document: Callable[[Task], bytes],
) -> AsyncGenerator[bytes, None]:
    caller.filler = COMMENT
    if first:
        yield first
    # Without room for one more watcher, as on an error, the client connects again in a while.
    while not task.status.is_final and watch.has_room:
        try:
            changing = watch.until_changed(task, seconds=HEARTBEAT_SECONDS)
            changed = await caller.unless_gone(changing)
            if grant is not None:
                grant.renew()
            has_changed = changed.version != task.version
            event = _event(changed, document) if has_changed else COMMENT
        except ClientDisconnect:
            return
        except AsyncApiProxyError as error:
            log.info("events ended", task_id=str(task.id), reason=str(error))
            return
        yield event
        task = changed


def _event(task: Task, document: Callable[[Task], bytes]) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        task.version,
        task.shown_status.value.encode(),
        document(task),
    )
