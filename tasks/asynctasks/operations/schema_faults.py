"""Says what is wrong with a JSON Schema that the validator refuses, and where."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from asynctasks.errors import SchemaInvalidError
from asynctasks.operations.error_place import error_place
from asynctasks.operations.validator import compiled
from asynctasks.operations.write_only import REFERENCES, walk

if TYPE_CHECKING:
    from asynctasks.operations.write_only import Location, Schema

REFERRED_TO = frozenset({"$defs", "definitions", "properties"})
TYPES = "array, boolean, integer, null, number, object or string"


def schema_faults(schema: Schema) -> list[SchemaInvalidError]:
    """All that keeps a schema from being compiled, which tells the first alone.

    Each is taken out of a copy, which shows the next.
    """
    rest = deepcopy(schema)
    faults: dict[Location, SchemaInvalidError] = {}
    while (fault := _first_fault(rest)) and fault.path not in faults:
        faults[fault.path] = fault
        if fault.path:
            _take_out(rest, fault.path)
    return list(faults.values())


def _take_out(schema: Any, path: Location) -> None:
    """References to the place still lead there; of a list all goes."""
    *above, last = path[: max(place + 1 for place, key in enumerate(path) if isinstance(key, str))]
    for key in above:
        schema = schema[key]
    if above and above[-1] in REFERRED_TO:
        schema[last] = {}
    else:
        del schema[last]


def _first_fault(schema: Schema) -> SchemaInvalidError | None:
    try:
        # Once more without a mask: here the values are the schema, and no secret.
        compiled(schema)
    except jsonschema_rs.ValidationError as error:
        return _named(schema, error_place(error, schema), error.message)
    except ValueError as error:
        return SchemaInvalidError((), str(error))
    return None


def _named(schema: Schema, path: Location, message: str) -> SchemaInvalidError:
    if not path:
        return _reference_fault(schema, message)
    if path[-1] == "type":
        return SchemaInvalidError(path, f"expected {TYPES}, or a list of them")
    if message.endswith('is not a "regex"'):
        return SchemaInvalidError(
            path, "expected a regular expression, one that does not look around or back"
        )
    return SchemaInvalidError(path, message)


def _reference_fault(schema: Schema, message: str) -> SchemaInvalidError:
    """The validator names what a reference leads to, not the place where it stands."""
    for place, value in walk(schema):
        if not place or place[-1] not in REFERENCES or not isinstance(value, str):
            continue
        if value.removeprefix("#") in message:
            return SchemaInvalidError(
                place, f"{value!r} leads nowhere; expected a place in this schema: #/$defs/name"
            )
    return SchemaInvalidError((), message)
