"""A callback as the proxy sends it: the event that a task has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncapiproxy.client.task_state import Document, TaskState
from asynctasks.callbacks.scheme import TYPE_PREFIX


@dataclass(frozen=True, slots=True)
class CallbackResponse:
    """What the upstream answered, where callbacks bring that."""

    status: int
    content_type: str
    body: Any
    """JSON's value, or the text; None where it was left out, too."""
    body_omitted: str | None
    """Why the body was left out: `too-large`, or `neither-json-nor-text`. The task has it."""


@dataclass(frozen=True, slots=True)
class CallbackEvent:
    """That a task has ended."""

    id: str
    """Of the delivery: the same each time that it is tried. By it a receiver knows a repeat."""
    type: str
    """`dev.asyncapiproxy.task.succeeded`, and so for each final status."""
    source: str
    """Which installation tells it."""
    time: datetime
    """When the task ended."""
    task: TaskState
    """Of it id, operation, status, labels, attempt and times; the rest is None."""
    links: dict[str, str]
    """Where the task is found, and what there is of it."""
    response: CallbackResponse | None
    """None where there was none, and where the callback is not to bring it."""


def callback_event(document: Document) -> CallbackEvent:
    """The event of a document; raises KeyError, TypeError, ValueError where it is none."""
    data = document["data"]
    told = data.get("response")
    if document["specversion"] != "1.0" or not document["type"].startswith(TYPE_PREFIX):
        raise ValueError(document["type"])
    if not data.keys() >= {"id", "operation", "status"}:
        raise ValueError("data")
    return CallbackEvent(
        id=document["id"],
        type=document["type"],
        source=document["source"],
        time=datetime.fromisoformat(document["time"]),
        task=TaskState({**data, "done": True}),
        links=data["links"],
        response=told and _response(told),
    )


def _response(told: Document) -> CallbackResponse:
    return CallbackResponse(
        told["status"], told["contentType"], told["body"], told.get("bodyOmitted")
    )
