"""Finds the secrets of a JSON Schema: the properties marked `writeOnly`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynctasks.errors import SchemaInvalidError
from asynctasks.json_values import as_array, as_object

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema = dict[str, Any]
Path = tuple[str, ...]
Location = tuple[str | int, ...]

DATA_KEYWORDS = frozenset({"const", "enum", "default", "examples"})
"""Below these stand values, not schemas."""
NAMES_BELOW = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
"""Below these stand names that a person chose, `default` perhaps among them."""
REFERENCES = frozenset({"$ref", "$dynamicRef"})


def write_only_paths(schema: Schema) -> list[Path]:
    """The properties marked `writeOnly: true`; raises SchemaInvalidError.

    Nested objects are followed. Below arrays, references and combinators a secret could hide at
    many places or at none, so it is refused there rather than stored in the clear.
    """
    if schema.get("writeOnly") is True:
        raise SchemaInvalidError(
            ("writeOnly",), "the arguments as a whole cannot be writeOnly: mark its properties"
        )
    faults: list[SchemaInvalidError] = []
    found = list(_found(schema, (), (), faults))
    if found:
        faults += _faults_of_references(schema)
    if faults:
        raise SchemaInvalidError.of(faults)
    return found


def walk(schema: Any, at: Location = ()) -> Iterator[tuple[Location, Any]]:
    """Everything in a schema with its place, but what stands below `const` and its like."""
    yield at, schema
    for key, value in _items(schema):
        if key not in DATA_KEYWORDS or (at and at[-1] in NAMES_BELOW):
            yield from walk(value, (*at, key))


def _found(
    schema: Schema, path: Path, at: Location, faults: list[SchemaInvalidError]
) -> Iterator[Path]:
    for keyword, value in schema.items():
        if keyword == "properties":
            for name, below in _items(value):
                place = (*at, keyword, name)
                yield from _found_in_property(below, (*path, str(name)), place, faults)
        elif keyword not in DATA_KEYWORDS:
            fault = f"not supported below `{keyword}`: mark a property of an object instead"
            marks = _marks(value, (*at, keyword))
            faults += (SchemaInvalidError(place, fault) for place, _ in marks)


def _found_in_property(
    value: Any, path: Path, at: Location, faults: list[SchemaInvalidError]
) -> Iterator[Path]:
    schema = as_object(value) or {}
    if schema.get("writeOnly") is True:
        yield path
    else:
        yield from _found(schema, path, at, faults)


def _marks(schema: Any, at: Location) -> Iterator[tuple[Location, Any]]:
    for place, value in walk(schema, at):
        if len(place) > len(at) and place[-1] == "writeOnly" and value is True:
            yield place, value


def _faults_of_references(schema: Schema) -> Iterator[SchemaInvalidError]:
    """A reference back into the properties would be a second, unmarked way to a secret."""
    for place, value in walk(schema):
        if (
            place
            and place[-1] in REFERENCES
            and isinstance(value, str)
            and not value.startswith("#/$defs/")
        ):
            yield SchemaInvalidError(
                place, "next to writeOnly properties, expected a reference below #/$defs/"
            )


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    yield from (as_object(value) or {}).items()
    yield from enumerate(as_array(value) or [])
