"""What OpenAPI says of the answers; the documents themselves are made in `task_view`."""

from __future__ import annotations

from typing import Any

from asyncproxy.azure_view import STATUSES
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
                "required": ["detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901, in the body"},
                    "parameter": {"type": "string", "description": "Of the query or a header"},
                    "detail": {"type": "string"},
                },
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
        "status": {"$ref": "#/components/schemas/TaskStatus"},
        "done": {"type": "boolean"},
        "attempt": {"type": "integer"},
        "maxAttempts": {"type": "integer"},
        "cancelRequested": {
            "type": "boolean",
            "description": "Whether its executor was asked to end it",
        },
        "createdAt": {"type": "string", "format": "date-time"},
        "startedAt": _INSTANT,
        "finishedAt": _INSTANT,
        "deadline": _INSTANT,
        "progress": {"type": ["integer", "null"], "minimum": 0, "maximum": 100},
        "message": _TEXT,
        "nextAttemptAt": _INSTANT,
        "upstreamJob": {
            "type": ["object", "null"],
            "properties": {"url": {"type": "string"}, "state": _TEXT},
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "arguments": {"type": "object", "description": "Without the `writeOnly` ones."},
        "attempts": {"type": "array", "items": {"type": "object"}},
        "response": {
            "type": ["object", "null"],
            "properties": {
                "status": {"type": "integer"},
                "contentType": {"type": "string"},
                "headers": {
                    "type": "object",
                    "description": "By name in small letters, each with all its values.",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                },
                "body": {},
            },
        },
        "error": {"anyOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
STATUS_SCHEMA = {"type": "string", "enum": [status.value for status in TaskStatus]}
COMPONENTS = {"Problem": PROBLEM_SCHEMA, "Task": TASK_SCHEMA, "TaskStatus": STATUS_SCHEMA}


def _json(description: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    media_type = "application/problem+json" if schema == "Problem" else "application/json"
    return {"description": description, "content": {media_type: {"schema": reference}}}


def problem(description: str) -> dict[str, Any]:
    """A response that is a problem document."""
    return _json(description, "Problem")


def _upstreams(description: str) -> dict[str, Any]:
    """An answer of the upstream's, whatever it is, or a problem of ours."""
    return {**problem(description), "content": {**problem("")["content"], "*/*": {}}}


_OTHERWISE = problem("Another problem")
_STORE_AWAY = problem("The task database is away")
_UNKNOWN = problem("There is no such task")
TASK: Responses = {
    200: _json("The task as it stands", "Task"),
    304: {"description": "It has not changed since the ETag in If-None-Match"},
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
RESPONSE: Responses = {
    200: {"description": "The upstream's answer", "content": {"*/*": {}}},
    303: {"description": "The task has not finished within `wait` seconds: ask here again"},
    304: {"description": "If-None-Match has the upstream's ETag"},
    404: _upstreams("There is no such task, or so the upstream answered"),
    409: _upstreams("The task has not finished, or so the upstream answered"),
    503: _upstreams("The task database is away, or so the upstream answered"),
    "default": _upstreams("The upstream's answer, whatever its status, or the task's problem"),
}
AZURE: Responses = {
    200: {
        "description": "Where it stands",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["id", "status", "createdDateTime"],
                    "properties": {
                        "id": {"type": "string", "format": "uuid"},
                        "status": {"type": "string", "enum": sorted({*STATUSES.values()})},
                        "createdDateTime": {"type": "string", "format": "date-time"},
                        "percentComplete": {"type": "integer", "minimum": 0, "maximum": 100},
                        "resourceLocation": {"type": "string"},
                        "error": {
                            "type": "object",
                            "required": ["code", "message"],
                            "properties": {
                                "code": {"type": "string"},
                                "message": {"type": "string"},
                            },
                        },
                    },
                }
            }
        },
    },
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
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
    503: problem("The task database is away, or the list took too long"),
    "default": _OTHERWISE,
}
EVENTS: Responses = {
    200: {
        "description": "Events whose data is the task and whose id is its version",
        "content": {"text/event-stream": {}},
    },
    204: {"description": "It has finished, and its last event is the one in Last-Event-ID"},
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
CANCEL: Responses = {
    200: _json("It was queued and is cancelled", "Task"),
    202: _json("Its executor has been asked to stop it", "Task"),
    404: _UNKNOWN,
    409: problem("The task has finished"),
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
RETRY: Responses = {
    202: _json("It is queued anew", "Task"),
    404: _UNKNOWN,
    409: problem("The task has not finished, or has succeeded"),
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
FORGET: Responses = {
    204: {"description": "It is forgotten"},
    404: _UNKNOWN,
    409: problem("The task has not finished"),
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
PING: Responses = {
    200: {"description": "The proxy accepts tasks", "content": {"application/json": {}}},
    503: {"description": "The task database is away", "content": {"application/json": {}}},
}
OPERATION: Responses = {
    "2XX": {"description": "The upstream's answer, in time", "content": {"*/*": {}}},
    "202": _json("The work goes on; `Location` is the task", "Task"),
    "303": {"description": "The work goes on; `Location` waits for the answer. Or the upstream's"},
    "400": _upstreams("The body is no JSON, or a header is not valid"),
    "409": _upstreams("The task was cancelled or has expired"),
    "413": _upstreams("The body is too large"),
    "415": _upstreams("The body is not JSON by its headers"),
    "422": _upstreams("The arguments do not fit their schema, or the idempotency key is taken"),
    "429": _upstreams("The operation's queue is full"),
    "4XX": _upstreams("The upstream's refusal"),
    "500": problem("The operation failed, by a fault of its handler or of ours"),
    "502": problem("The upstream failed"),
    "503": problem("The task database is away, or too many callers wait; nothing was stored"),
    "504": problem("The upstream did not answer in time"),
    "default": _upstreams("The upstream's answer, or another problem"),
}
