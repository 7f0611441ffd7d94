"""What OpenAPI says of batches, as `batch_routes` shows them."""

from __future__ import annotations

from typing import Any

from asyncproxy.batch_order import EXAMPLE
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
from asyncproxy.task_filter import BATCH_OF_TASKS, ERROR_TYPE, LABEL
from asynctasks.batch import BatchAction, BatchStatus
from asynctasks.operations.task_options import MAX_LABELS
from asynctasks.task import TaskStatus

_ACTION: Schema = {"type": "string", "enum": [action.value for action in BatchAction]}
_ID: Schema = {"type": "string", "format": "uuid"}
COMPONENTS: dict[str, Schema] = {
    "BatchOrder": objects(
        "action filter",
        {
            "action": _ACTION,
            "filter": reference("TaskFilter"),
            "dryRun": {"type": "boolean", "description": "Only tell how many tasks there are."},
        },
        additionalProperties=False,
        examples=[EXAMPLE],
    ),
    "TaskFilter": objects(
        "",
        {
            "status": {**TEXT, "enum": [status.value for status in TaskStatus]},
            "operation": TEXT,
            "label": {
                "type": "array",
                "items": {"type": "string", "pattern": LABEL},
                "minItems": 1,
                "maxItems": MAX_LABELS,
                "description": "All of them apply; each has another name.",
                "examples": [["team=a"]],
            },
            "batch": {
                **TEXT,
                "pattern": BATCH_OF_TASKS,
                "description": "The name that their calls gave by `Task-Batch`.",
            },
            "error_type": {
                **TEXT,
                "pattern": ERROR_TYPE,
                "examples": ["upstream-timeout"],
                "description": "Of the problem that it has ended by, the name or the URI.",
            },
            "created_after": INSTANT,
            "created_before": INSTANT,
            "finished_after": INSTANT,
            "finished_before": INSTANT,
            "principal": TEXT,
            "tenant": TEXT,
        },
        additionalProperties=False,
        description="Tasks to which all of it applies, in the words of `GET /tasks`; of `status` "
        "one that tasks can have with which it is done.",
    ),
    "BatchCounts": objects(
        "action matched statuses isComplete",
        {
            "action": _ACTION,
            "matched": COUNT,
            "statuses": {"type": "object", "additionalProperties": COUNT},
            "isComplete": {
                "type": "boolean",
                "description": "False where there may be more, which were not counted.",
            },
        },
        description="With how many tasks it would be done now, and where these stand.",
    ),
    "Batch": objects(
        "id action status filter createdAt counts failures links",
        {
            "id": _ID,
            "action": _ACTION,
            "status": {"type": "string", "enum": [status.value for status in BatchStatus]},
            "filter": reference("TaskFilter"),
            "principal": {**or_null(TEXT), "description": "Who asked for it."},
            "tenant": or_null(TEXT),
            "createdAt": INSTANT,
            "finishedAt": or_null(INSTANT),
            "counts": reference("BatchProgress"),
            "failures": {
                "type": "object",
                "description": "By the name of the problem, how many.",
                "additionalProperties": COUNT,
            },
            "links": {"type": "object", "additionalProperties": TEXT},
        },
        description="One action on many tasks, and how far it has come.",
    ),
    "BatchProgress": objects(
        "matched done skipped failed",
        {
            "matched": {**COUNT, "description": "Tasks found so far."},
            "done": {**COUNT, "description": "Of these, the ones it was done with."},
            "skipped": {**COUNT, "description": "Those that others had changed meanwhile."},
            "failed": {**COUNT, "description": "Those with which it could not be done."},
        },
    ),
    "BatchPage": objects(
        "batches nextPageToken",
        {
            "batches": {"type": "array", "items": reference("Batch")},
            "nextPageToken": or_null(TEXT),
        },
    ),
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": reference("BatchOrder")}},
    }
}
_LOCATION = {
    "Location": {"description": "The batch", "schema": {**TEXT, "format": "uri-reference"}}
}
_OTHERS: Responses = {
    503: problem("The task database is away, or counting took too long", headers=RETRY_AFTER),
    "default": OTHERWISE,
}
_UNKNOWN = problem("There is no such batch of the caller's")
MADE: Responses = {
    200: json_answer("What it would be done with", "BatchCounts"),
    202: json_answer("It is carried out from now on", "Batch", headers=_LOCATION),
    400: problem("The body is no JSON"),
    403: problem("The caller may do this with no task"),
    413: problem("The body is too large"),
    415: problem("The body is not JSON by its headers"),
    422: problem("The action or the filter is not valid"),
    **_OTHERS,
}
BATCHES: Responses = {
    200: json_answer("A page", "BatchPage"),
    422: problem("A parameter has a value that cannot be used"),
    **_OTHERS,
}
BATCH: Responses = {200: json_answer("The batch as it stands", "Batch"), 404: _UNKNOWN, **_OTHERS}
CANCEL: Responses = {
    200: json_answer("No further task is changed by it", "Batch"),
    404: _UNKNOWN,
    409: problem("The batch has finished"),
    **_OTHERS,
}
