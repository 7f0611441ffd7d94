"""Reads what a caller gives as text, in the path or the query for instance, by its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from asynctasks.errors import SchemaInvalidError
from asynctasks.json_values import (
    WrittenNumber,
    as_array,
    as_object,
    exact_numbers,
    found_at,
    read_json,
)
from asynctasks.operations.validator import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asynctasks.operations.write_only import Location, Schema

SCALARS = frozenset({"boolean", "integer", "null", "number", "string"})
ALL_TYPES = SCALARS | {"array", "object"}
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
    """Reads one value of the arguments.

    Text stays text where the schema takes it; else it is the number, boolean or null that JSON
    reads in it. What does not fit is left for the schema to refuse.
    """

    def __init__(self, schema: Any, root: Schema, *, at: Location) -> None:
        """Take a schema within that of the arguments; raises SchemaInvalidError for no text."""
        self._types = possible_types(schema, root)
        if not self._types & SCALARS:
            raise SchemaInvalidError(
                at,
                "is given as text, which holds no array or object: expected a type of "
                "string, number, integer, boolean or null",
            )
        self._takes_any_text = schema is True or schema in ({}, {"type": "string"})
        self._fits = fits_within(schema, root, at=at)

    def read(self, text: str) -> Any:
        """What the text stands for."""
        if self._takes_any_text or self._fits(text):
            return text
        try:
            value = read_json(text)
        except orjson.JSONDecodeError:
            return text
        if isinstance(value, str | list | dict) or _is_long_integer(value):
            return text
        # One that is of its type and still does not fit gives the schema more to say than text.
        is_meant = bool(self._types & _types_of(value))
        return value if is_meant or self._fits(exact_numbers(value)) else text


def _is_long_integer(value: Any) -> bool:
    """Beyond 64 bits: a body with it is refused as well."""
    return isinstance(value, WrittenNumber) and value.text.removeprefix("-").isdigit()


def fits_within(schema: Any, root: Schema, *, at: Location) -> Callable[[Any], bool]:
    """Whether a value fits a schema within that of the arguments; raises SchemaInvalidError."""
    # The schema is that of a list's items: so the root's `properties`, to which it may refer, are
    # there and ask nothing of the value.
    known = {
        keyword: root[keyword]
        for keyword in ("$defs", "definitions", "properties")
        if keyword in root
    }
    try:
        validator = compiled({**known, "items": schema})
    except ValueError as error:
        raise SchemaInvalidError(
            at, "is given as text: expected references below #/$defs/ or #/properties/ only"
        ) from error
    return lambda value: validator.is_valid([value])


def possible_types(schema: Any, root: Schema, references: int = MAX_REFERENCES) -> frozenset[str]:
    """The JSON types that a value of the schema may have, at most."""
    keywords = as_object(schema)
    if keywords is None or references == 0:
        return ALL_TYPES if schema is not False else frozenset()
    found = ALL_TYPES
    if "type" in keywords:
        named = as_array(keywords["type"]) or [keywords["type"]]
        found &= frozenset(named) | (frozenset({"integer"}) if "number" in named else frozenset())
    if "const" in keywords:
        found &= _types_of(keywords["const"])
    if (values := as_array(keywords.get("enum"))) is not None:
        found &= frozenset[str]().union(*map(_types_of, values))
    for part in as_array(keywords.get("allOf")) or []:
        found &= possible_types(part, root, references)
    for keyword in ("anyOf", "oneOf"):
        if parts := as_array(keywords.get(keyword)):
            types = (possible_types(part, root, references) for part in parts)
            found &= frozenset[str]().union(*types)
    if isinstance(reference := keywords.get("$ref"), str):
        found &= possible_types(referred(reference, root), root, references - 1)
    return found


def schemas_of(
    schema: Any, root: Schema, references: int = MAX_REFERENCES
) -> Iterator[dict[str, Any]]:
    """The schema and those that it refers to or combines: all that describe the same value."""
    keywords = as_object(schema)
    if keywords is None or references == 0:
        return
    yield keywords
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in as_array(keywords.get(keyword)) or []:
            yield from schemas_of(part, root, references)
    if isinstance(reference := keywords.get("$ref"), str):
        yield from schemas_of(referred(reference, root), root, references - 1)


def _types_of(value: Any) -> frozenset[str]:
    kind = "number" if isinstance(value, float) else _OF_PYTHON[type(value)]
    return frozenset({kind} | ({"integer", "number"} if kind in {"integer", "number"} else set()))


def referred(reference: str, root: Schema) -> Any:
    """What a reference leads to; True, which takes all, where that is not plain to see."""
    found = found_at(reference[1:], root) if reference.startswith("#/") else None
    return True if found is None else found
