"""The parameters of an operation as OpenAPI 3.1 describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynctasks.json_values import as_array, as_object
from asynctasks.operations.text_values import referred

if TYPE_CHECKING:
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.parameter import Parameter
    from asynctasks.operations.write_only import Schema

ARGUMENT = "x-argument"
"""The argument that a parameter gives, where that has another name."""


def parameter_objects(operation: Operation) -> list[dict[str, Any]]:
    """One for each argument that callers give outside the body."""
    return [_parameter(one, operation.arguments) for one in operation.call_parameters.all]


def _parameter(parameter: Parameter, arguments: Schema) -> dict[str, Any]:
    schema = _inlined(arguments["properties"][parameter.gives], arguments, frozenset())
    is_required = parameter.place == "path" or parameter.gives in arguments.get("required", ())
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": is_required,
        "style": parameter.style,
        "explode": parameter.explode,
        "allowReserved": parameter.allow_reserved or None,
        "description": (as_object(schema) or {}).get("description"),
        "schema": schema,
        ARGUMENT: parameter.argument if parameter.argument != parameter.name else None,
    }
    return {key: value for key, value in described.items() if value is not None}


def _inlined(schema: Any, arguments: Schema, within: frozenset[str]) -> Any:
    """The schema with what it refers to in its place: outside the arguments that leads nowhere.

    What refers to itself is open where it does so again.
    """
    if (values := as_array(schema)) is not None:
        return [_inlined(value, arguments, within) for value in values]
    if (keywords := as_object(schema)) is None:
        return schema
    beside = {
        key: _inlined(value, arguments, within) for key, value in keywords.items() if key != "$ref"
    }
    reference = keywords.get("$ref")
    if not isinstance(reference, str) or reference in within:
        return beside
    target = _inlined(referred(reference, arguments), arguments, within | {reference})
    return {**(as_object(target) or {}), **beside}
