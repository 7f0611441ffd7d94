"""OpenAPI: FastAPI's own document, with a true path and schema for each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from asyncproxy.batch_schemas import COMPONENTS as BATCHES
from asyncproxy.caller_schemas import COMPONENTS as OF_CALLERS
from asyncproxy.openapi_callbacks import CALLBACKS
from asyncproxy.openapi_callbacks import SCHEMAS as OF_CALLBACKS
from asyncproxy.openapi_parameters import parameter_objects
from asyncproxy.openapi_schemas import ComponentSchemas
from asyncproxy.operating_schemas import COMPONENTS as OPERATING
from asyncproxy.options_headers import KEY_PATTERN
from asyncproxy.schemas import ANSWER_HEADERS, ANYTHING, COMPONENTS, LINES, OPERATION
from asyncproxy.schemas import MANY_CALLS as MANY_CALLS_ANSWERS
from asynctasks.operations.operation import BODILESS
from asynctasks.operations.reserved_paths import MANY_CALLS
from asynctasks.operations.task_options import BATCH_NAME, LABEL_NAME, LABEL_VALUE, MAX_LABELS

if TYPE_CHECKING:
    from fastapi import FastAPI

    from asyncproxy.openapi_schemas import ComponentSchema
    from asynctasks.operations.operation import Operation, Operations
    from asynctasks.operations.write_only import Schema


def _header(name: str, description: str, example: str, pattern: str = "") -> dict[str, Any]:
    # An example of the schema's: one of the parameter's Swagger UI would send with each call.
    schema = {
        "type": "string",
        "examples": [example],
        **({"pattern": f"^{pattern}$"} if pattern else {}),
    }
    return {"name": name, "in": "header", "description": description, "schema": schema}


_LABEL = f"{LABEL_NAME.pattern}={LABEL_VALUE.pattern}"
_HEADERS = [
    _header(
        "Prefer",
        "`respond-async`: answer 202 at once. `wait=N`: wait N seconds (RFC 7240). "
        "`redirect`: answer 303 instead of 202, to where the answer will be.",
        "wait=5",
    ),
    _header(
        "Idempotency-Key",
        "A repeat with the same key joins this call.",
        "8e03978e-40d5",
        KEY_PATTERN,
    ),
    _header("Task-Deadline", "Seconds or a date; then the task expires.", "90"),
    _header("Task-Delay", "Seconds until the first attempt.", "30", r"[0-9]{1,7}(\.[0-9]{1,6})?"),
    _header("Task-Priority", "Of tasks that a limit holds, the highest goes first.", "7", "[0-9]"),
    _header(
        "Task-Labels",
        "Found again by `GET /tasks?label=`.",
        "team=a, batch=7",
        f"{_LABEL}(, ?{_LABEL}){{0,{MAX_LABELS - 1}}}",
    ),
    _header(
        "Task-Batch",
        "Names a group of tasks: `GET /tasks?batch=`.",
        "import-2026-01-31",
        BATCH_NAME.pattern,
    ),
]


_CALLBACK_HEADER = _header(
    "Task-Callback",
    "Who is told of its end: a URL that may be called, or a name of the operations file.",
    "https://erp.example.com/hooks/tasks",
)

_TAGS = [
    {"name": "operations", "description": "What this proxy can be asked for."},
    {"name": "tasks", "description": "What became of it."},
    {"name": "batches", "description": "The same with many tasks at once."},
    {"name": "operating", "description": "What may start, what is held, and what lets it go."},
    {"name": "callbacks", "description": "Who is told of tasks' ends."},
    {"name": "callers", "description": "Who calls."},
    {"name": "health", "description": "Whether the proxy and what it needs are there."},
]
_INFO = {
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "contact": {"name": "Whoever runs this proxy"},
}


def openapi_document(
    app: FastAPI, operations: Operations, *, has_callbacks: bool = False
) -> dict[str, Any]:
    """The OpenAPI 3.1 document, the operations first."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=_TAGS,
    )
    document["info"] |= _INFO
    # In place of FastAPI's own, which describe its 422; ours is a problem.
    components = ComponentSchemas(
        {**COMPONENTS, **OPERATING, **BATCHES, **OF_CALLBACKS, **OF_CALLERS}
    )
    paths: dict[str, Any] = {}
    for operation in operations.values():
        described = _path_item(operation, components)
        if has_callbacks:
            described["parameters"].append(_CALLBACK_HEADER)
            described["callbacks"] = CALLBACKS
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
        if operation.takes_many_calls:
            paths[operation.path + MANY_CALLS] = {"post": _many_calls(operation, described)}
    for path, path_item in document["paths"].items():
        for method in path_item.values():
            for parameter in method.get("parameters", ()):
                _amend(parameter)
        paths[path] = path_item
    return document | {
        "paths": paths,
        "components": {"schemas": components.used_in(paths)},
        "security": [],
    }


def _amend(parameter: dict[str, Any]) -> None:
    """Write it as people do, and let an id be one for those who generate clients."""
    parameter["schema"] = _not_null(parameter["schema"])
    if parameter["in"] == "header":
        parameter["name"] = "-".join(word.capitalize() for word in parameter["name"].split("-"))
    elif parameter["name"] in {"task_id", "batch_id"}:
        parameter["schema"] = {"type": "string", "format": "uuid"}


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What a parameter that may be left out is when it is given: no URL and no header has null."""
    given = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    (only,) = given or [schema]
    examples = {"examples": schema["examples"]} if "examples" in schema else {}
    return {name: value for name, value in {**only, **examples}.items() if name != "title"}


def _path_item(operation: Operation, components: ComponentSchemas) -> dict[str, Any]:
    arguments = components.add(operation.name, "Arguments", operation.arguments)
    described: dict[str, Any] = {
        "tags": ["operations"],
        "operationId": operation.name,
        "summary": operation.summary or operation.name,
        "description": operation.description or operation.summary or operation.name,
        "parameters": [*parameter_objects(operation, arguments.schema), *_HEADERS],
        "responses": {**_answers(operation, components), **OPERATION},
    }
    if operation.method not in BODILESS:
        described["requestBody"] = _body(operation, arguments)
    return described


def _many_calls(operation: Operation, one: dict[str, Any]) -> dict[str, Any]:
    """Many calls of it at once, which are described as `one` call is."""
    of_each_line = {"Prefer", "Idempotency-Key"}
    return {
        "tags": ["batches"],
        # No operation's name has such a character.
        "operationId": f"{operation.name}_batch",
        "summary": f"{one['summary']}: many at once",
        "description": "Each line of the body is a call: an object with its `arguments` and, where "
        "it is to be made once, its `key`, as `Idempotency-Key` is one. The headers hold for all. "
        "Each line is answered by one: its number, as `line`, and the `id` of its task, or a "
        "`problem`.",
        "parameters": [each for each in one["parameters"] if each["name"] not in of_each_line],
        "requestBody": {"required": True, "content": LINES},
        "responses": MANY_CALLS_ANSWERS,
    } | ({"callbacks": one["callbacks"]} if "callbacks" in one else {})


def _body(operation: Operation, arguments: ComponentSchema) -> dict[str, Any]:
    if operation.body is not None:
        return {"content": {each: {"schema": _raw(each)} for each in operation.body.content_types}}
    elsewhere = operation.call_parameters.arguments
    schema = _without(arguments.schema, elsewhere) if elsewhere else arguments.reference
    return {
        "required": bool(set(operation.arguments.get("required", ())) - elsewhere),
        "content": {"application/json": {"schema": schema}},
    }


def _raw(content_type: str) -> dict[str, Any]:
    """Of a form OpenAPI wants an object; of all else it knows only that it is bytes."""
    if content_type in {"multipart/form-data", "application/x-www-form-urlencoded"}:
        return {"type": "object"}
    return {"type": "string", "format": "binary"}


def _without(schema: Schema, names: frozenset[str]) -> Schema:
    """The schema of the body: what is given elsewhere is not in it."""
    return {
        **schema,
        "required": [name for name in schema.get("required", []) if name not in names],
        "properties": {
            name: value for name, value in schema["properties"].items() if name not in names
        },
    }


def _answers(operation: Operation, components: ComponentSchemas) -> dict[str, Any]:
    """What the upstream answers in time, as far as the operations file says."""
    declared = operation.response
    answer: dict[str, Any] = {"description": "The upstream's answer, in time"}
    if declared is None:
        answer["content"] = ANYTHING
    elif declared.media_type is not None:
        schema: Schema = {}
        if declared.schema_ is not None:
            schema = components.add(operation.name, "Answer", declared.schema_).reference
        answer["content"] = {declared.media_type: {"schema": schema}}
    # Browsers put whole numbers first: with a range alone the 202 would stand above the answer.
    status = 200 if declared is None else declared.status or 200
    return {str(status): {**answer, "headers": ANSWER_HEADERS}, "2XX": answer}
