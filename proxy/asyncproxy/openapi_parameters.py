"""The parameters of an operation as OpenAPI 3.1 describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynctasks.json_values import as_object

if TYPE_CHECKING:
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.parameter import Parameter
    from asynctasks.operations.write_only import Schema

ARGUMENT = "x-argument"
"""The argument that a parameter gives, where that has another name."""


def parameter_objects(operation: Operation, arguments: Schema) -> list[dict[str, Any]]:
    """One for each argument that callers give outside the body, whose schema is among these."""
    return [_parameter(one, operation, arguments) for one in operation.call_parameters.all]


def _parameter(parameter: Parameter, operation: Operation, arguments: Schema) -> dict[str, Any]:
    schema = arguments["properties"][parameter.gives]
    required = operation.arguments.get("required", ())
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path" or parameter.gives in required,
        "style": parameter.style,
        "explode": parameter.explode,
        "allowReserved": parameter.allow_reserved or None,
        "description": (as_object(schema) or {}).get("description"),
        "schema": schema,
        ARGUMENT: parameter.argument if parameter.argument != parameter.name else None,
    }
    return {key: value for key, value in described.items() if value is not None}
