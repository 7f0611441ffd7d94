"""What OpenAPI says of the answers; the documents themselves are made in `task_view`."""

from __future__ import annotations

from typing import Any

from asynctasks.task import TaskStatus

Responses = dict[int | str, dict[str, Any]]

_TEXT = {"type": ["string", "null"]}
_INSTANT = {"type": ["string", "null"], "format": "date-time"}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `type` is stable; `detail` is for people.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "taskId": {"type": "string", "format": "uuid"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
TASK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Task",
    "required": ["id", "operation", "status", "done", "links"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "operation": {"type": "string"},
        "status": {"type": "string", "enum": [status.value for status in TaskStatus]},
        "done": {"type": "boolean"},
        "attempt": {"type": "integer"},
        "maxAttempts": {"type": "integer"},
        "createdAt": {"type": "string", "format": "date-time"},
        "startedAt": _INSTANT,
        "finishedAt": _INSTANT,
        "deadline": _INSTANT,
        "progress": {"type": ["integer", "null"], "minimum": 0, "maximum": 100},
        "message": _TEXT,
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "arguments": {"type": "object", "description": "Without the `writeOnly` ones."},
        "attempts": {"type": "array", "items": {"type": "object"}},
        "response": {
            "type": ["object", "null"],
            "properties": {
                "status": {"type": "integer"},
                "contentType": {"type": "string"},
                "body": {},
            },
        },
        "error": {"anyOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
COMPONENTS = {"Problem": PROBLEM_SCHEMA, "Task": TASK_SCHEMA}


def _json(description: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    media_type = "application/problem+json" if schema == "Problem" else "application/json"
    return {"description": description, "content": {media_type: {"schema": reference}}}


def problem(description: str) -> dict[str, Any]:
    """A response that is a problem document."""
    return _json(description, "Problem")


TASK: Responses = {
    200: _json("The task as it stands", "Task"),
    304: {"description": "It has not changed since the ETag in If-None-Match"},
    404: problem("There is no such task"),
    503: problem("The task database is away"),
}
RESPONSE: Responses = {
    200: {"description": "The upstream's answer, whatever its status", "content": {"*/*": {}}},
    404: problem("There is no such task"),
    409: problem("The task has not finished"),
    503: problem("The task database is away"),
}
_STORE_AWAY = problem("The task database is away")
_UNKNOWN = problem("There is no such task")
PAGE: Responses = {
    200: {
        "description": "A page; `Link: rel=next` leads to the next one",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["tasks", "nextPageToken"],
                    "properties": {
                        "tasks": {
                            "type": "array",
                            "items": {"$ref": "#/components/schemas/Task"},
                        },
                        "nextPageToken": _TEXT,
                    },
                }
            }
        },
    },
    422: problem("A filter has a value that cannot be used"),
    503: _STORE_AWAY,
}
EVENTS: Responses = {
    200: {
        "description": "Events whose data is the task and whose id is its version",
        "content": {"text/event-stream": {}},
    },
    204: {"description": "It has finished, and its last event is the one in Last-Event-ID"},
    404: _UNKNOWN,
    503: _STORE_AWAY,
}
CANCEL: Responses = {
    200: _json("It was queued and is cancelled", "Task"),
    202: _json("Its executor has been asked to stop it", "Task"),
    404: _UNKNOWN,
    409: problem("The task has finished"),
    503: _STORE_AWAY,
}
RETRY: Responses = {
    202: _json("It is queued anew", "Task"),
    404: _UNKNOWN,
    409: problem("The task has not finished, or has succeeded"),
    503: _STORE_AWAY,
}
FORGET: Responses = {
    204: {"description": "It is forgotten"},
    404: _UNKNOWN,
    409: problem("The task has not finished"),
    503: _STORE_AWAY,
}
PING: Responses = {
    200: {"description": "The proxy accepts tasks"},
    503: {"description": "The task database is away"},
}
OPERATION: Responses = {
    "2XX": {"description": "The upstream's answer, in time", "content": {"*/*": {}}},
    "202": _json("The work goes on; `Location` is the task", "Task"),
    "400": problem("The body is no JSON"),
    "413": problem("The body is too large"),
    "415": problem("The body is not JSON by its headers"),
    "422": problem("The arguments do not fit their schema, or the idempotency key is taken"),
    "429": problem("The operation's queue is full"),
    "4XX": {"description": "The upstream's refusal", "content": {"*/*": {}}},
    "502": problem("The upstream failed"),
    "503": problem("The task database is away, or too many callers wait; nothing was stored"),
    "504": problem("The upstream did not answer in time"),
}
