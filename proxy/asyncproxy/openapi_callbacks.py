"""What OpenAPI says of callbacks: what whoever is named in `Task-Callback` is sent."""

from __future__ import annotations

from typing import Any

from asyncproxy.schemas import INSTANT, TEXT, objects, or_null, reference
from asynctasks.callbacks.event import CONTENT_TYPE
from asynctasks.callbacks.scheme import ID, SIGNATURE, TIMESTAMP, TYPE_PREFIX
from asynctasks.operations.callback import EVENTS

SCHEMAS: dict[str, dict[str, Any]] = {
    "TaskEnded": objects(
        "specversion id source type subject time data",
        {
            "specversion": {"type": "string", "const": "1.0"},
            "id": {**TEXT, "description": "Of the delivery, the same in each try of it."},
            "source": {"type": "string", "format": "uri-reference"},
            "type": {"type": "string", "enum": [TYPE_PREFIX + event for event in EVENTS]},
            "subject": {**TEXT, "description": "The task's id."},
            "time": INSTANT,
            "datacontenttype": TEXT,
            "data": reference("EndedTask"),
        },
        description="An event of CloudEvents 1.0.",
    ),
    "EndedTask": objects(
        "id operation status labels attempt createdAt finishedAt links",
        {
            "id": TEXT,
            "operation": TEXT,
            "status": reference("TaskStatus"),
            "labels": {"type": "object", "additionalProperties": TEXT},
            "attempt": {"type": "integer", "minimum": 0},
            "createdAt": INSTANT,
            "finishedAt": INSTANT,
            "links": {"type": "object", "additionalProperties": TEXT},
            "response": {**or_null({"type": "object"}), "description": "Where it is asked for."},
        },
    ),
}


def _header(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": TEXT,
    }


CALLBACKS: dict[str, Any] = {
    "taskEnded": {
        "{$request.header.Task-Callback}": {
            "post": {
                "summary": "The task has ended",
                "parameters": [
                    _header(ID, "The delivery's id, by which a repeat is known."),
                    _header(TIMESTAMP, "When this try was made, in seconds since 1970."),
                    _header(SIGNATURE, "By Standard Webhooks: `v1a,…`, `v1,…`, or several."),
                ],
                "requestBody": {
                    "required": True,
                    "content": {CONTENT_TYPE: {"schema": reference("TaskEnded")}},
                },
                "responses": {
                    "2XX": {"description": "It was taken"},
                    "410": {"description": "No more of them are wanted"},
                    "default": {"description": "It is sent again, ten times over three days"},
                },
            }
        }
    }
}
"""Of each operation."""
