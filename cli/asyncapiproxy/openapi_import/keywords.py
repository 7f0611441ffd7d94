"""One keyword of a schema: what OpenAPI 3.0 and other drafts say by it, in JSON Schema 2020-12.

Each function here looks at one schema alone, not at those below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynctasks.json_values import as_array, as_object, by_value
from asynctasks.operations.schema_faults import TYPES, schema_faults
from asynctasks.operations.schema_keywords import (
    CHECKED_FORMATS,
    KEYWORDS,
    LIST_BELOW,
    NAMES_BELOW,
    ONE_BELOW,
    SHOWN_FORMATS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynctasks.operations.write_only import Schema

    Told = Callable[[str, str], None]
    """Takes a keyword, and what became of it."""

NULL = "null"
_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
_FOR_READERS = frozenset({"discriminator", "externalDocs", "title", "xml"})
"""They name classes and elements, and say nothing of what is taken."""
_OF_THE_DOCUMENT = frozenset({"$anchor", "$comment", "$defs", "$id", "$schema", "definitions"})
"""They say where in the document schemas stand: here all stand elsewhere."""
_UNCHECKED = frozenset({"default", "deprecated", "description", "readOnly", "writeOnly"})
_BELOW = ONE_BELOW | LIST_BELOW | NAMES_BELOW
_LARGEST, _SMALLEST = 2**64 - 1, -(2**63)


def is_nullable(schema: Schema) -> bool:
    """Whether null is taken, as OpenAPI 3.0 says it."""
    return schema.get("nullable") is True


def simple_keywords(schema: Schema, told: Told) -> Schema:
    """All keywords below which no schema stands, as JSON Schema 2020-12 has them."""
    found: Schema = {}
    for keyword, value in schema.items():
        if not _is_left_to_others(keyword):
            found |= _in_2020_12(keyword, value, schema, told)
    return {keyword: plain_value(value) for keyword, value in found.items()}


def or_null(schema: Schema) -> Schema:
    """The schema, which takes null as well."""
    if "type" in schema:
        types = as_array(schema["type"]) or [schema["type"]]
        schema = {**schema, "type": [*types, *([] if NULL in types else [NULL])]}
    if (values := as_array(schema.get("enum"))) is not None and None not in values:
        schema = {**schema, "enum": [*values, None]}
    if "type" in schema or "enum" in schema or not schema:
        return schema
    told = {key: value for key, value in schema.items() if key in _UNCHECKED}
    rest = {key: value for key, value in schema.items() if key not in _UNCHECKED}
    return {**told, "anyOf": [rest, {"type": NULL}]} if rest else told


def prose(text: Any) -> str:
    """A text for people, whose spaces at the ends of lines keep it from being a block of YAML."""
    return "\n".join(line.rstrip() for line in str(text).strip().splitlines())


def plain_value(value: Any) -> Any:
    """The value as a person writes it: `1` for 1.0; and without integers of more than 64 bits."""
    if (members := as_object(value)) is not None:
        return {name: plain_value(member) for name, member in members.items()}
    if (items := as_array(value)) is not None:
        return [plain_value(item) for item in items]
    is_long = type(value) is int and not _SMALLEST <= value <= _LARGEST
    return float(value) if is_long else by_value(value)


def _is_left_to_others(keyword: str) -> bool:
    return (
        keyword in _BELOW | _FOR_READERS | _OF_THE_DOCUMENT
        or keyword in {"$ref", "nullable", "required"}
        or keyword.startswith("x-")
    )


def _in_2020_12(keyword: str, value: Any, schema: Schema, told: Told) -> Schema:
    if keyword in _BOUNDS and isinstance(value, bool):
        bound = _BOUNDS[keyword]
        return {keyword: schema[bound]} if value and bound in schema else {}
    if keyword in _BOUNDS.values() and _is_replaced(keyword, schema):
        return {}
    if keyword == "example":
        return {} if "examples" in schema else {"examples": [value]}
    return _checked(keyword, value, told)


def _checked(keyword: str, value: Any, told: Told) -> Schema:
    if keyword == "type":
        return _type(value, told)
    if keyword == "format":
        is_known = str(value) in CHECKED_FORMATS | SHOWN_FORMATS
        return {"format" if is_known else "x-format": value}
    if keyword == "description":
        return {keyword: prose(value)}
    if keyword in _UNCHECKED:
        return {keyword: value}
    if keyword not in KEYWORDS or keyword.startswith("$"):
        fault = "it is no keyword of JSON Schema 2020-12"
    elif faults := schema_faults({keyword: value}):
        fault = str(faults[0])
    else:
        return {keyword: value}
    told(keyword, f"not checked: {fault}")
    return {}


def _is_replaced(keyword: str, schema: Schema) -> bool:
    """Whether the bound itself is not taken, as 3.0 says it: by a boolean next to it."""
    return any(schema.get(other) is True for other, bound in _BOUNDS.items() if bound == keyword)


def _type(value: Any, told: Told) -> Schema:
    types = as_array(value)
    known = [one for one in (types or [value]) if one in _TYPES]
    if len(known) < len(types or [value]):
        told("type", f"not checked: {value!r}; expected {TYPES}")
        return {}
    return {"type": known[0] if len(known) == 1 else known}
