"""OpenAPI: FastAPI's own document, with a true path and schema for each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from asyncproxy.schemas import COMPONENTS, OPERATION

if TYPE_CHECKING:
    from fastapi import FastAPI

    from asynctasks.operations.operation import Operation, Operations

_PREFER: dict[str, Any] = {
    "name": "Prefer",
    "in": "header",
    "description": "`respond-async`: answer 202 at once. `wait=N`: wait N seconds (RFC 7240).",
    "schema": {"type": "string"},
    "examples": {"async": {"value": "respond-async"}, "wait": {"value": "wait=5"}},
}


def _header(name: str, description: str, *examples: str) -> dict[str, Any]:
    schema = {"type": "string", "examples": list(examples)}
    return {"name": name, "in": "header", "description": description, "schema": schema}


_HEADERS = [
    _PREFER,
    _header("Idempotency-Key", "A repeat with the same key joins this call.", "8e03978e-40d5"),
    _header("Task-Deadline", "Seconds or a date; then the task expires.", "90"),
    _header("Task-Delay", "Seconds until the first attempt.", "30"),
    _header("Task-Labels", "Found again by `GET /tasks?label=`.", "team=a, batch=7"),
]


def openapi_document(app: FastAPI, operations: Operations) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    document.setdefault("components", {}).setdefault("schemas", {}).update(COMPONENTS)
    paths = document["paths"]
    for operation in operations.values():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _path_item(operation)
    return document


def _path_item(operation: Operation) -> dict[str, Any]:
    in_path = operation.path_arguments
    properties = operation.arguments.get("properties", {})
    return {
        "tags": ["operations"],
        "operationId": operation.name,
        "summary": operation.summary or operation.name,
        "description": operation.description,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": properties[name]}
                for name in in_path
            ),
            *_HEADERS,
        ],
        "requestBody": {
            "required": bool(set(operation.arguments.get("required", ())) - set(in_path)),
            "content": {"application/json": {"schema": _without(operation.arguments, in_path)}},
        },
        "responses": OPERATION,
    }


def _without(schema: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The schema of the body: what the path gives is not in it."""
    if not names:
        return schema
    return {
        **schema,
        "required": [name for name in schema.get("required", []) if name not in names],
        "properties": {
            name: value for name, value in schema["properties"].items() if name not in names
        },
    }
