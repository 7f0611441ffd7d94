"""What a callback says: that a task has ended, as an event of CloudEvents 1.0 in JSON.

    {"specversion": "1.0", "id": …, "source": …, "type": "dev.asyncapiproxy.task.succeeded",
     "subject": …, "time": …, "datacontenttype": "application/json",
     "data": {"id": …, "operation": …, "status": …, …, "links": {…}, "response": {…}}}

Its members are those of the task as the proxy shows it, by the same names. Arguments, and why a
task has failed, which may quote them, stand there alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from asynctasks.callbacks.scheme import TYPE_PREFIX
from asynctasks.json_values import write_json
from asynctasks.response import body_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from asynctasks.response import Response
    from asynctasks.task import TaskStatus

CONTENT_TYPE = "application/cloudevents+json"
MAX_RESPONSE_BYTES = 20_000
"""The largest body of a response that goes with an event."""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """What is told of a task that has ended."""

    task_id: UUID
    operation: str
    status: TaskStatus
    labels: Mapping[str, str]
    attempt: int
    """How often it was tried."""
    created_at: datetime
    finished_at: datetime
    links: Mapping[str, str]
    """Where the task and what there is of it are found, whole URLs where the proxy's is known."""
    response: Response | None = None
    """The upstream's answer, if there was one."""


def event_body(
    end: TaskEnd, *, delivery_id: str, source: str, includes_response: bool = False
) -> bytes:
    """The event. The source is a URI reference that names this installation."""
    assert end.status.is_final
    event = {
        "specversion": "1.0",
        "id": delivery_id,
        "source": source,
        "type": TYPE_PREFIX + end.status,
        "subject": str(end.task_id),
        "time": end.finished_at,
        "datacontenttype": "application/json",
        "data": {
            "id": str(end.task_id),
            "operation": end.operation,
            "status": end.status,
            "labels": dict(end.labels),
            "attempt": end.attempt,
            "createdAt": end.created_at,
            "finishedAt": end.finished_at,
            "links": dict(end.links),
            **({"response": _response_json(end.response)} if includes_response else {}),
        },
    }
    return write_json(event, orjson.OPT_UTC_Z)


def _response_json(response: Response | None) -> dict[str, Any] | None:
    if response is None:
        return None
    told = {"status": response.status, "contentType": response.content_type}
    if response.blob is not None or len(response.body) > MAX_RESPONSE_BYTES:
        return {**told, "body": None, "bodyOmitted": "too-large"}
    body = body_json(response)
    if body is None:
        return {**told, "body": None, "bodyOmitted": "neither-json-nor-text"}
    return {**told, "body": body}
