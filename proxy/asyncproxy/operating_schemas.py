"""What OpenAPI says of queues, operations and limits, as `overview` shows them."""

from __future__ import annotations

from typing import Any

from asyncproxy.schemas import (
    COUNT,
    INSTANT,
    OTHERWISE,
    RETRY_AFTER,
    TEXT,
    Responses,
    Schema,
    json_answer,
    objects,
    or_null,
    problem,
    reference,
)
from asynctasks.limits.limit import LEAST_RATE
from asynctasks.limits.limit_state import BreakerKind

_RATE: Schema = {"type": "number"}
_BOUND: Schema = {"type": "integer", "minimum": 1}
_BOUNDS: dict[str, Schema] = {
    "concurrency": {**or_null(_BOUND), "description": "So many attempts run at once at most."},
    "ratePerSecond": {
        **or_null(_RATE),
        "description": f"So many start in a second, {LEAST_RATE:f} at least.",
    },
    "burst": {**or_null(_BOUND), "description": "So many start at once after a pause."},
}
_NAMES: Schema = {"type": "array", "items": TEXT}
_COUNTS: dict[str, Schema] = {
    "queued": {**COUNT, "description": "All that wait for an executor, now or later."},
    "held": {**COUNT, "description": "Of these, those that wait to be let start."},
    "published": {**COUNT, "description": "Of these, those that an executor may take."},
    "running": COUNT,
}
_PAUSED: Schema = {"anyOf": [reference("Pause"), {"type": "null"}]}
COMPONENTS: dict[str, Schema] = {
    "Pause": objects(
        "since",
        {
            "since": INSTANT,
            "by": {**or_null(TEXT), "description": "Null where callers are not told apart."},
        },
        description="Nothing of it starts; what runs goes on.",
    ),
    "Queue": objects(
        "name queued held published running executors operations",
        {
            "name": TEXT,
            **_COUNTS,
            "executors": {**COUNT, "description": "How many take its tasks."},
            "paused": _PAUSED,
            "operations": {"type": "array", "items": reference("QueueOperation")},
        },
    ),
    "QueueOperation": objects(
        "name queue queued held published running limits",
        {"name": TEXT, "queue": or_null(TEXT), **_COUNTS, "limits": _NAMES, "paused": _PAUSED},
        description="An operation's tasks on one queue.",
    ),
    "QueueList": objects("queues", {"queues": {"type": "array", "items": reference("Queue")}}),
    "Limit": objects(
        "name operations declared changed running held",
        {
            "name": TEXT,
            "operations": {**_NAMES, "description": "Those that share it."},
            "declared": {"type": "object", "description": "What the operations file says."},
            "changed": {"type": "object", "description": "What was set in place of that."},
            **_BOUNDS,
            "running": COUNT,
            "held": {**COUNT, "description": "Tasks that wait to be let start."},
            "startsLeft": {
                **or_null(COUNT),
                "description": "How many the rate lets start now; null where there is none.",
            },
            "breaker": {"anyOf": [reference("LimitBreaker"), {"type": "null"}]},
            "paused": _PAUSED,
        },
        description="What upstreams are asked at most, by all executors together.",
    ),
    "LimitBreaker": objects(
        "state failures",
        {
            "state": {"type": "string", "enum": [kind.value for kind in BreakerKind]},
            "failures": {**COUNT, "description": "Attempts in a row, by the upstream's fault."},
            "openedAt": or_null(INSTANT),
            "probeAt": {**or_null(INSTANT), "description": "When an attempt may find out more."},
        },
    ),
    "LimitList": objects("limits", {"limits": {"type": "array", "items": reference("Limit")}}),
    "LimitChange": objects(
        "",
        _BOUNDS,
        additionalProperties=False,
        description="Null takes the file's again, what is left out stays.",
    ),
}
CHANGE_TYPES = ("application/json", "application/merge-patch+json")
CHANGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        # Of two types with one schema openapi-python-client makes code that does not compile.
        "content": {CHANGE_TYPES[0]: {"schema": reference("LimitChange")}},
    }
}
_OTHERS: Responses = {
    503: problem("The task database is away, or counting took too long", headers=RETRY_AFTER),
    "default": OTHERWISE,
}
_LISTED: Responses = {"4XX": problem("It is not known who calls"), **_OTHERS}
_NOT_ALLOWED = problem("The caller may see it, and not operate it")
QUEUES: Responses = {200: json_answer("The queues", "QueueList"), **_LISTED}
QUEUE: Responses = {
    200: json_answer("The queue as it stands now", "Queue"),
    403: _NOT_ALLOWED,
    404: problem("There is no such queue"),
    **_OTHERS,
}
OPERATION: Responses = {
    200: json_answer("The operation as it stands now", "QueueOperation"),
    403: _NOT_ALLOWED,
    404: problem("There is no such operation"),
    **_OTHERS,
}
LIMITS: Responses = {200: json_answer("The limits", "LimitList"), **_LISTED}
LIMIT: Responses = {
    200: json_answer("The limit as it stands", "Limit"),
    404: problem("There is no such limit"),
    **_OTHERS,
}
PAUSED: Responses = {**LIMIT, 403: _NOT_ALLOWED}
CHANGED: Responses = {
    **PAUSED,
    400: problem("The body is no JSON"),
    413: problem("The body is too large"),
    415: problem("The body is not JSON by its headers"),
    422: problem("The limit cannot be set so"),
}
