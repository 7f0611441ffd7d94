"""Reads an argument that a caller gives as text, in the path for instance, by its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from asynctasks.errors import SchemaInvalidError
from asynctasks.json_values import WrittenNumber, as_array, as_object, exact_numbers, read_json
from asynctasks.operations.validator import compiled

if TYPE_CHECKING:
    import jsonschema_rs

    from asynctasks.operations.write_only import Schema

_SCALARS = frozenset({"boolean", "integer", "null", "number", "string"})
_ALL = _SCALARS | {"array", "object"}
_OF_PYTHON: dict[type, str] = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
    type(None): "null",
}
MAX_REFERENCES = 20


class TextReader:
    """Reads one property of the arguments.

    Text stays text where the schema takes it; else it is the number, boolean or null that JSON
    reads in it. What does not fit is left for the schema to refuse.
    """

    def __init__(self, arguments: Schema, name: str) -> None:
        """Raise SchemaInvalidError where no text can be what the schema wants."""
        schema = arguments["properties"][name]
        types = _types(schema, arguments, MAX_REFERENCES)
        if not types & _SCALARS:
            raise SchemaInvalidError(
                ("properties", name),
                "is given in the path, which holds no array or object: expected a type of "
                "string, number, integer, boolean or null",
            )
        self._types = types
        self._takes_any_text = schema is True or schema in ({}, {"type": "string"})
        self._validator = _validator(arguments, name)

    def read(self, text: str) -> Any:
        """The argument that the text stands for."""
        if self._takes_any_text or self._validator.is_valid(text):
            return text
        try:
            value = read_json(text)
        except orjson.JSONDecodeError:
            return text
        if isinstance(value, str | list | dict) or _is_long_integer(value):
            return text
        # One that is of its type and still does not fit gives the schema more to say than text.
        is_meant = bool(self._types & _types_of(value))
        return value if is_meant or self._validator.is_valid(exact_numbers(value)) else text


def _is_long_integer(value: Any) -> bool:
    """Beyond 64 bits: a body with it is refused as well."""
    return isinstance(value, WrittenNumber) and value.text.removeprefix("-").isdigit()


def _validator(arguments: Schema, name: str) -> jsonschema_rs.Draft202012Validator:
    referred = {
        keyword: arguments[keyword]
        for keyword in ("$defs", "definitions", "properties")
        if keyword in arguments
    }
    pointer = name.replace("~", "~0").replace("/", "~1")
    try:
        return compiled({**referred, "$ref": f"#/properties/{pointer}"})
    except ValueError as error:
        raise SchemaInvalidError(
            ("properties", name),
            "is given in the path: expected references below #/$defs/ or #/properties/ only",
        ) from error


def _types(schema: Any, root: Schema, references: int) -> frozenset[str]:
    """The JSON types that a value of the schema may have, at most."""
    keywords = as_object(schema)
    if keywords is None or references == 0:
        return _ALL if schema is not False else frozenset()
    found = _ALL
    if "type" in keywords:
        named = as_array(keywords["type"]) or [keywords["type"]]
        found &= frozenset(named) | (frozenset({"integer"}) if "number" in named else frozenset())
    if "const" in keywords:
        found &= _types_of(keywords["const"])
    if (values := as_array(keywords.get("enum"))) is not None:
        found &= frozenset[str]().union(*map(_types_of, values))
    for part in as_array(keywords.get("allOf")) or []:
        found &= _types(part, root, references)
    for keyword in ("anyOf", "oneOf"):
        if parts := as_array(keywords.get(keyword)):
            found &= frozenset[str]().union(*(_types(part, root, references) for part in parts))
    if isinstance(reference := keywords.get("$ref"), str):
        found &= _types(_referred(reference, root), root, references - 1)
    return found


def _types_of(value: Any) -> frozenset[str]:
    kind = "number" if isinstance(value, float) else _OF_PYTHON[type(value)]
    return frozenset({kind} | ({"integer", "number"} if kind in {"integer", "number"} else set()))


def _referred(reference: str, root: Schema) -> Any:
    """What a reference leads to; True, which takes all, where that is not plain to see."""
    found: Any = root
    if not reference.startswith("#/"):
        return True
    for part in reference.removeprefix("#/").split("/"):
        found = (as_object(found) or {}).get(part.replace("~1", "/").replace("~0", "~"), True)
    return found
