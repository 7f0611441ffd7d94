"""What OpenAPI says of the answers; the documents themselves are made in `task_view`.

Generators of clients read this. So each schema that has a name stands among the components, each
answer says its headers, and a type is one that all of them know.
"""

from __future__ import annotations

from typing import Any

from asyncproxy.azure_view import STATUSES
from asynctasks.limit_rows import PausedKind
from asynctasks.statements.shown import View
from asynctasks.task import TaskStatus

Responses = dict[int | str, dict[str, Any]]
Schema = dict[str, Any]
SCHEMAS = "#/components/schemas/"

TEXT: Schema = {"type": "string"}
_ID: Schema = {"type": "string", "format": "uuid"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
COUNT: Schema = {"type": "integer", "minimum": 0}
_ADDRESS: Schema = {"type": "string", "format": "uri-reference"}


def or_null(schema: Schema) -> Schema:
    """The same, where a value may be there or not."""
    return {**schema, "type": [schema["type"], "null"]}


def reference(name: str) -> Schema:
    """A component, by its name."""
    return {"$ref": f"{SCHEMAS}{name}"}


def objects(required: str, properties: dict[str, Schema], **keywords: Any) -> Schema:
    """An object; the names of the properties that are always there stand in one text."""
    names = required.split()
    return {
        "type": "object",
        **keywords,
        **({"required": names} if names else {}),
        "properties": properties,
    }


COMPONENTS: dict[str, Schema] = {
    "Problem": objects(
        "type title status detail",
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "instance": {**_ADDRESS, "description": "The task, where there is one."},
            "taskId": _ID,
            "errors": {"type": "array", "items": reference("ProblemError")},
        },
        description="RFC 9457. `type` is stable; `detail` is for people.",
    ),
    "ProblemError": objects(
        "detail",
        {
            "detail": TEXT,
            "pointer": {"type": "string", "description": "RFC 6901, in the body"},
            "parameter": {
                "type": "string",
                "description": "Of the path, the query, a header or a cookie",
            },
        },
    ),
    "TaskStatus": {"type": "string", "enum": [status.value for status in TaskStatus]},
    "View": {"type": "string", "enum": [view.value for view in View]},
    "Task": objects(
        "id operation status done attempt countedAttempts maxAttempts createdAt labels attempts "
        "links",
        {
            "id": _ID,
            "operation": TEXT,
            "principal": {**or_null(TEXT), "description": "Who submitted it."},
            "tenant": {**or_null(TEXT), "description": "The organisation of that caller."},
            "status": reference("TaskStatus"),
            "done": {"type": "boolean", "description": "Whether `status` is a final one."},
            "priority": {"type": "integer", "minimum": 0, "maximum": 9},
            "attempt": {**COUNT, "description": "How often it was tried."},
            "countedAttempts": {
                **COUNT,
                "description": "How many of these count in `maxAttempts`: none that was cut short.",
            },
            "maxAttempts": COUNT,
            "cancelRequested": {
                "type": "boolean",
                "description": "Whether its executor was asked to end it.",
            },
            "createdAt": INSTANT,
            "startedAt": or_null(INSTANT),
            "finishedAt": or_null(INSTANT),
            "deadline": or_null(INSTANT),
            "progress": or_null({"type": "integer", "minimum": 0, "maximum": 100}),
            "message": or_null(TEXT),
            "heldBy": {"anyOf": [reference("Hold"), {"type": "null"}]},
            "nextAttemptAt": or_null(INSTANT),
            "upstreamJob": {"anyOf": [reference("UpstreamJob"), {"type": "null"}]},
            "traceId": or_null({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
            "labels": {"type": "object", "additionalProperties": TEXT},
            "batch": {**or_null(TEXT), "description": "The `Task-Batch` of its call."},
            "arguments": {"type": "object", "description": "Without the `writeOnly` ones."},
            "attempts": {"type": "array", "items": reference("Attempt")},
            "response": {"anyOf": [reference("TaskAnswer"), {"type": "null"}]},
            "error": {"anyOf": [reference("Problem"), {"type": "null"}]},
            "links": {"type": "object", "additionalProperties": _ADDRESS},
        },
    ),
    "Hold": objects(
        "kind name",
        {"kind": {"type": "string", "enum": [kind.value for kind in PausedKind]}, "name": TEXT},
        description="What a queued task waits for; `message` says why.",
    ),
    "UpstreamJob": objects(
        "url",
        {"url": TEXT, "state": or_null(TEXT)},
        description="What an upstream that is asynchronous itself does.",
    ),
    "Attempt": objects(
        "number outcome",
        {
            "number": COUNT,
            "startedAt": INSTANT,
            "finishedAt": INSTANT,
            "outcome": TEXT,
            "executor": TEXT,
            "responseStatus": {"type": "integer"},
            "detail": TEXT,
        },
        description="One that has ended.",
    ),
    "TaskAnswer": objects(
        "status contentType",
        {
            "status": {"type": "integer"},
            "contentType": TEXT,
            "headers": {
                "type": "object",
                "description": "By name in small letters, each with all its values.",
                "additionalProperties": {"type": "array", "items": TEXT},
            },
            "body": {"description": "JSON as JSON, text as text; else null: see `response`."},
        },
        description="The upstream's answer.",
    ),
    "TaskPage": objects(
        "tasks nextPageToken",
        {
            "tasks": {"type": "array", "items": reference("Task")},
            "nextPageToken": or_null(TEXT),
        },
        description="In a summary without `arguments`, and without a response's headers and body.",
    ),
    "AzureOperation": objects(
        "id status createdDateTime",
        {
            "id": _ID,
            "status": {"type": "string", "enum": sorted({*STATUSES.values()})},
            "createdDateTime": INSTANT,
            "percentComplete": {"type": "integer", "minimum": 0, "maximum": 100},
            "resourceLocation": _ADDRESS,
            "error": reference("AzureError"),
        },
    ),
    "AzureError": objects("code message", {"code": TEXT, "message": TEXT}),
    "Deliveries": objects(
        "deliveries", {"deliveries": {"type": "array", "items": reference("Delivery")}}
    ),
    "Delivery": objects(
        "number id taskId url event status attempts createdAt",
        {
            "number": {"type": "integer", "minimum": 1},
            "id": {**_ID, "description": "Its receiver sees it as `webhook-id`."},
            "taskId": {**_ID, "description": "By which it is retried and cancelled as a task."},
            "url": TEXT,
            "event": {**reference("TaskStatus"), "description": "The end that it tells of."},
            "status": reference("TaskStatus"),
            "attempts": {"type": "array", "items": reference("Attempt")},
            "createdAt": INSTANT,
            "finishedAt": or_null(INSTANT),
            "nextAttemptAt": or_null(INSTANT),
        },
        description="One that is told of a task's end.",
    ),
    "JwkSet": objects("keys", {"keys": {"type": "array", "items": {"type": "object"}}}),
    "Availability": objects(
        "status access",
        {
            "status": {"type": "string", "enum": ["ok", "degraded", "unavailable"]},
            "access": {
                "type": "string",
                "enum": ["restricted", "open"],
                "description": "`open`: there is no access file, and everyone may do everything.",
            },
        },
        description="And for each part whether it is there, and how fast it answers.",
    ),
}


def _header(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "schema": schema}


_TASK_ID = {"Task-Id": _header("The task", _ID)}
RETRY_AFTER = {"Retry-After": _header("Seconds until it is worth to ask again", COUNT)}
_ETAG = {"ETag": _header("The task's version", TEXT)}
TASK_HEADERS = {**_TASK_ID, **_ETAG, **RETRY_AFTER}
_OF_CALLS = {
    **_TASK_ID,
    "Preference-Applied": _header("What of `Prefer` was heeded", TEXT),
    "Idempotency-Joined": _header("`true`: an earlier call made the task", TEXT),
}
ACCEPTED_HEADERS = {
    "Location": _header("The task", _ADDRESS),
    "Operation-Location": _header("The task as Azure's clients poll it", _ADDRESS),
    **TASK_HEADERS,
    **_OF_CALLS,
}
ANSWER_HEADERS = {
    **_OF_CALLS,
    "Idempotency-Replayed": _header("`true`: an earlier call was answered so", TEXT),
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


def json_answer(
    description: str, name: str, *, headers: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A response that is one of the components, in JSON."""
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
    return json_answer(description, "Problem", headers=headers)


def upstreams(description: str, *, is_range: bool = False) -> dict[str, Any]:
    """An answer of the upstream's, whatever it is, or a problem of ours.

    Of a range of statuses it says no headers: what ogen makes of them does not compile.
    """
    described = problem(description, headers=None if is_range else _TASK_ID)
    return {**described, "content": {**described["content"], **ANYTHING}}


ANYTHING: dict[str, Any] = {"application/json": {"schema": {}}, "*/*": {"schema": {}}}
"""Of the upstream's; a type that all generators know is among it."""
OTHERWISE = problem("Another problem")
_STORE_AWAY = problem("The task database is away", headers=RETRY_AFTER)
_UNKNOWN = problem("There is no such task")
TASK: Responses = {
    200: json_answer("The task as it stands", "Task", headers=TASK_HEADERS),
    304: {"description": "It has not changed since the ETag in If-None-Match", "headers": _ETAG},
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": OTHERWISE,
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
    200: json_answer("Where it stands", "AzureOperation", headers={**_TASK_ID, **RETRY_AFTER}),
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": OTHERWISE,
}
PAGE: Responses = {
    200: json_answer(
        "A page",
        "TaskPage",
        headers={"Link": _header("`rel=next` leads to the next page", TEXT)},
    ),
    422: problem("A filter has a value that cannot be used"),
    503: problem("The task database is away, or the list took too long", headers=RETRY_AFTER),
    "default": OTHERWISE,
}
EVENTS: Responses = {
    200: {
        "description": "Events whose data is the task and whose id is its version",
        "content": {"text/event-stream": {"schema": TEXT}},
    },
    204: {"description": "It has finished, and its last event is the one in Last-Event-ID"},
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": OTHERWISE,
}
CANCEL: Responses = {
    200: json_answer("It was queued and is cancelled", "Task", headers=TASK_HEADERS),
    202: json_answer("Its executor has been asked to stop it", "Task", headers=TASK_HEADERS),
    404: _UNKNOWN,
    409: problem("The task has finished"),
    503: _STORE_AWAY,
    "default": OTHERWISE,
}
RETRY: Responses = {
    202: json_answer("It is queued anew", "Task", headers=TASK_HEADERS),
    404: _UNKNOWN,
    409: problem("The task has not finished, or has succeeded"),
    429: problem("A quota of who submitted it is used up", headers=RETRY_AFTER),
    503: _STORE_AWAY,
    "default": OTHERWISE,
}
FORGET: Responses = {
    204: {"description": "It is forgotten"},
    404: _UNKNOWN,
    409: problem("The task has not finished"),
    503: _STORE_AWAY,
    "default": OTHERWISE,
}
DELIVERIES: Responses = {
    200: json_answer("All, the first one first", "Deliveries"),
    404: _UNKNOWN,
    503: _STORE_AWAY,
    "default": OTHERWISE,
}
REDELIVER: Responses = {
    202: json_answer("A new one with the same id", "Delivery"),
    404: problem("There is no such task, or it has no such delivery"),
    503: _STORE_AWAY,
    "default": OTHERWISE,
}
JWKS: Responses = {
    200: {
        "description": "A JWK Set (RFC 7517)",
        "content": {"application/jwk-set+json": {"schema": reference("JwkSet")}},
    },
    "4XX": problem("The request cannot be read"),
    "default": OTHERWISE,
}
PING: Responses = {
    200: json_answer("The proxy accepts tasks", "Availability"),
    503: json_answer("The task database is away", "Availability"),
    "4XX": problem("The request cannot be read"),
    "default": OTHERWISE,
}
OPERATION: Responses = {
    "202": json_answer(
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
    "429": upstreams("The operation's queue is full, or a quota of the caller is used up"),
    "4XX": upstreams("The upstream's refusal", is_range=True),
    "500": problem("The operation failed, by a fault of its handler or of ours", headers=_TASK_ID),
    "502": problem("The upstream failed", headers=_TASK_ID),
    "503": problem(
        "The task database is away, or too many callers wait; nothing was stored",
        headers=RETRY_AFTER,
    ),
    "504": problem("The upstream did not answer in time", headers=_TASK_ID),
    "default": upstreams("The upstream's answer, or another problem", is_range=True),
}
"""But for its answer in time, of which the operation knows more."""
LINES: dict[str, Any] = {"application/x-ndjson": {"schema": {"type": "string", "format": "binary"}}}
MANY_CALLS: Responses = {
    "200": {"description": "What has come of each line, as it comes", "content": LINES},
    "400": problem("A header is not valid"),
    "403": problem("The caller may not call the operation"),
    "415": problem("The body is not NDJSON by its headers"),
    "default": OTHERWISE,
}
