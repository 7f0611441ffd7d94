"""What OpenAPI says of the answers; the documents themselves are made in `task_view`.

Generators of clients read this. So each schema that has a name stands among the components, each
answer says its headers, and a type is one that all of them know.
"""

from __future__ import annotations

from typing import Any

from asyncproxy.azure_view import STATUSES
from asynctasks.task import TaskStatus

Responses = dict[int | str, dict[str, Any]]
Schema = dict[str, Any]
SCHEMAS = "#/components/schemas/"

_TEXT: Schema = {"type": "string"}
_ID: Schema = {"type": "string", "format": "uuid"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ADDRESS: Schema = {"type": "string", "format": "uri-reference"}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def reference(name: str) -> Schema:
    """A component, by its name."""
    return {"$ref": f"{SCHEMAS}{name}"}


def _objects(required: str, properties: dict[str, Schema], **keywords: Any) -> Schema:
    return {
        "type": "object",
        **keywords,
        "required": required.split(),
        "properties": properties,
    }


COMPONENTS: dict[str, Schema] = {
    "Problem": _objects(
        "type title status detail",
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "instance": {**_ADDRESS, "description": "The task, where there is one."},
            "taskId": _ID,
            "errors": {"type": "array", "items": reference("ProblemError")},
        },
        description="RFC 9457. `type` is stable; `detail` is for people.",
    ),
    "ProblemError": _objects(
        "detail",
        {
            "detail": _TEXT,
            "pointer": {"type": "string", "description": "RFC 6901, in the body"},
            "parameter": {
                "type": "string",
                "description": "Of the path, the query, a header or a cookie",
            },
        },
    ),
    "TaskStatus": {"type": "string", "enum": [status.value for status in TaskStatus]},
    "Task": _objects(
        "id operation status done attempt maxAttempts createdAt labels attempts links",
        {
            "id": _ID,
            "operation": _TEXT,
            "status": reference("TaskStatus"),
            "done": {"type": "boolean", "description": "Whether `status` is a final one."},
            "attempt": _COUNT,
            "maxAttempts": _COUNT,
            "cancelRequested": {
                "type": "boolean",
                "description": "Whether its executor was asked to end it.",
            },
            "createdAt": _INSTANT,
            "startedAt": _or_null(_INSTANT),
            "finishedAt": _or_null(_INSTANT),
            "deadline": _or_null(_INSTANT),
            "progress": _or_null({"type": "integer", "minimum": 0, "maximum": 100}),
            "message": _or_null(_TEXT),
            "nextAttemptAt": _or_null(_INSTANT),
            "upstreamJob": {"anyOf": [reference("UpstreamJob"), {"type": "null"}]},
            "labels": {"type": "object", "additionalProperties": _TEXT},
            "arguments": {"type": "object", "description": "Without the `writeOnly` ones."},
            "attempts": {"type": "array", "items": reference("Attempt")},
            "response": {"anyOf": [reference("TaskAnswer"), {"type": "null"}]},
            "error": {"anyOf": [reference("Problem"), {"type": "null"}]},
            "links": {"type": "object", "additionalProperties": _ADDRESS},
        },
    ),
    "UpstreamJob": _objects(
        "url",
        {"url": _TEXT, "state": _or_null(_TEXT)},
        description="What an upstream that is asynchronous itself does.",
    ),
    "Attempt": _objects(
        "number outcome",
        {
            "number": _COUNT,
            "startedAt": _INSTANT,
            "finishedAt": _INSTANT,
            "outcome": _TEXT,
            "executor": _TEXT,
            "responseStatus": {"type": "integer"},
            "detail": _TEXT,
        },
        description="One that has ended.",
    ),
    "TaskAnswer": _objects(
        "status contentType",
        {
            "status": {"type": "integer"},
            "contentType": _TEXT,
            "headers": {
                "type": "object",
                "description": "By name in small letters, each with all its values.",
                "additionalProperties": {"type": "array", "items": _TEXT},
            },
            "body": {"description": "JSON as JSON, text as text; else null: see `response`."},
        },
        description="The upstream's answer.",
    ),
    "TaskPage": _objects(
        "tasks nextPageToken",
        {
            "tasks": {"type": "array", "items": reference("Task")},
            "nextPageToken": _or_null(_TEXT),
        },
    ),
    "AzureOperation": _objects(
        "id status createdDateTime",
        {
            "id": _ID,
            "status": {"type": "string", "enum": sorted({*STATUSES.values()})},
            "createdDateTime": _INSTANT,
            "percentComplete": {"type": "integer", "minimum": 0, "maximum": 100},
            "resourceLocation": _ADDRESS,
            "error": reference("AzureError"),
        },
    ),
    "AzureError": _objects("code message", {"code": _TEXT, "message": _TEXT}),
    "Availability": _objects(
        "status",
        {"status": {"type": "string", "enum": ["ok", "degraded", "unavailable"]}},
        description="And for each part whether it is there, and how fast it answers.",
    ),
}


def _header(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "schema": schema}


_TASK_ID = {"Task-Id": _header("The task", _ID)}
_RETRY_AFTER = {"Retry-After": _header("Seconds until it is worth to ask again", _COUNT)}
_ETAG = {"ETag": _header("The task's version", _TEXT)}
TASK_HEADERS = {**_TASK_ID, **_ETAG, **_RETRY_AFTER}
_OF_CALLS = {
    **_TASK_ID,
    "Preference-Applied": _header("What of `Prefer` was heeded", _TEXT),
    "Idempotency-Joined": _header("`true`: an earlier call made the task", _TEXT),
}
ACCEPTED_HEADERS = {
    "Location": _header("The task", _ADDRESS),
    "Operation-Location": _header("The task as Azure's clients poll it", _ADDRESS),
    **TASK_HEADERS,
    **_OF_CALLS,
}
ANSWER_HEADERS = {
    **_OF_CALLS,
    "Idempotency-Replayed": _header("`true`: an earlier call was answered so", _TEXT),
}
_LINKS = {
    name: {"operationId": operation, "parameters": {"task_id": "$response.body#/id"}}
    for name, operation in (
        ("task", "get_task"),
        ("response", "get_response"),
        ("events", "get_events"),
        ("cancel", "cancel"),
    )
}


def _json(
    description: str, name: str, *, headers: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    media_type = "application/problem+json" if name == "Problem" else "application/json"
    content = {media_type: {"schema": reference(name)}}
    return {
        "description": description,
        **({"headers": headers} if headers else {}),
        "content": content,
        **more,
    }


def problem(description: str, *, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """A response that is a problem document."""
    return _json(description, "Problem", headers=headers)


def upstreams(description: str, *, is_range: bool = False) -> dict[str, Any]:
    """An answer of the upstream's, whatever it is, or a problem of ours.

    Of a range of statuses it says no headers: what ogen makes of them does not compile.
    """
    described = problem(description, headers=None if is_range else _TASK_ID)
    return {**described, "content": {**described["content"], **ANYTHING}}


ANYTHING: dict[str, Any] = {"application/json": {"schema": {}}, "*/*": {"schema": {}}}
"""Of the upstream's; a type that all generators know is among it."""
_OTHERWISE = problem("Another problem")
_STORE_AWAY = problem("The task database is away", headers=_RETRY_AFTER)
_UNKNOWN = problem("There is no such task")
TASK: Responses = {
    200: _json("The task as it stands", "Task", headers=TASK_HEADERS),
    304: {"description": "It has not changed since the ETag in If-None-Match", "headers": _ETAG},
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
RESPONSE: Responses = {
    200: {"description": "The upstream's answer", "headers": _TASK_ID, "content": ANYTHING},
    303: {"description": "The task has not finished within `wait` seconds: ask here again"},
    304: {"description": "If-None-Match has the upstream's ETag"},
    404: upstreams("There is no such task, or so the upstream answered"),
    409: upstreams("The task has not finished, or so the upstream answered"),
    503: upstreams("The task database is away, or so the upstream answered"),
    "default": upstreams(
        "The upstream's answer, whatever its status, or the task's problem", is_range=True
    ),
}
AZURE: Responses = {
    200: _json("Where it stands", "AzureOperation", headers={**_TASK_ID, **_RETRY_AFTER}),
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
PAGE: Responses = {
    200: _json(
        "A page",
        "TaskPage",
        headers={"Link": _header("`rel=next` leads to the next page", _TEXT)},
    ),
    422: problem("A filter has a value that cannot be used"),
    503: problem("The task database is away, or the list took too long", headers=_RETRY_AFTER),
    "default": _OTHERWISE,
}
EVENTS: Responses = {
    200: {
        "description": "Events whose data is the task and whose id is its version",
        "content": {"text/event-stream": {"schema": _TEXT}},
    },
    204: {"description": "It has finished, and its last event is the one in Last-Event-ID"},
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
CANCEL: Responses = {
    200: _json("It was queued and is cancelled", "Task", headers=TASK_HEADERS),
    202: _json("Its executor has been asked to stop it", "Task", headers=TASK_HEADERS),
    404: _UNKNOWN,
    409: problem("The task has finished"),
    503: _STORE_AWAY,
    "default": _OTHERWISE,
}
RETRY: Responses = {
    202: _json("It is queued anew", "Task", headers=TASK_HEADERS),
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
    200: _json("The proxy accepts tasks", "Availability"),
    503: _json("The task database is away", "Availability"),
    "4XX": problem("The request cannot be read"),
    "default": _OTHERWISE,
}
OPERATION: Responses = {
    "202": _json(
        "The work goes on; `Location` is the task", "Task", headers=ACCEPTED_HEADERS, links=_LINKS
    ),
    "303": {
        "description": "The work goes on; `Location` waits for the answer. Or the upstream's",
        "headers": {"Location": _header("Where the answer will be", _ADDRESS), **_TASK_ID},
    },
    "400": upstreams("The body is no JSON, or a header is not valid"),
    "409": upstreams("The task was cancelled or has expired"),
    "413": upstreams("The body is too large"),
    "415": upstreams("The body is not JSON by its headers"),
    "422": upstreams("The arguments do not fit their schema, or the idempotency key is taken"),
    "429": upstreams("The operation's queue is full"),
    "4XX": upstreams("The upstream's refusal", is_range=True),
    "500": problem("The operation failed, by a fault of its handler or of ours", headers=_TASK_ID),
    "502": problem("The upstream failed", headers=_TASK_ID),
    "503": problem(
        "The task database is away, or too many callers wait; nothing was stored",
        headers=_RETRY_AFTER,
    ),
    "504": problem("The upstream did not answer in time", headers=_TASK_ID),
    "default": upstreams("The upstream's answer, or another problem", is_range=True),
}
"""But for its answer in time, of which the operation knows more."""
