"""The arguments of a task: checked against their JSON Schema, parted into open and `writeOnly`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonschema_rs

from asynctasks.errors import ArgumentsInvalidError

MAX_VIOLATIONS = 50
"""As many as a person can use; a caller decides how many there are."""

Schema = dict[str, Any]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where the arguments do not fit. It never quotes the value, which may be secret."""

    pointer: str
    """A JSON Pointer (RFC 6901) into the arguments; empty for the whole."""
    detail: str


class ArgumentsSchema:
    """One operation's JSON Schema (2020-12), compiled once."""

    def __init__(self, schema: Schema) -> None:
        """Raise jsonschema_rs.ValidationError or ValueError where it is no schema we can use."""
        jsonschema_rs.meta.validate(schema)
        self._validator = jsonschema_rs.Draft202012Validator(
            schema, validate_formats=True, mask="the value", offline=True
        )
        self.write_only = tuple(write_only_paths(schema))

    def check(self, arguments: Any) -> None:
        """Raise ArgumentsInvalidError with every violation, up to MAX_VIOLATIONS."""
        if self._validator.is_valid(arguments):
            return
        errors = islice(self._validator.iter_errors(arguments), MAX_VIOLATIONS)
        raise ArgumentsInvalidError(
            [Violation(_pointer(error.instance_path), error.message) for error in errors]
        )

    def part(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[Path, Any]]]:
        """The arguments without their `writeOnly` values, and those values with their paths."""
        if not self.write_only:
            return arguments, []
        secrets: list[tuple[Path, Any]] = []
        for path in self.write_only:
            arguments = _without(arguments, path, path, secrets)
        return arguments, secrets


def join(arguments: dict[str, Any], secrets: list[tuple[Path, Any]]) -> dict[str, Any]:
    """The whole arguments again; the inverse of `ArgumentsSchema.part`."""
    for path, value in secrets:
        arguments = _with(arguments, path, value)
    return arguments


def write_only_paths(schema: Schema, path: Path = ()) -> list[Path]:
    """The properties marked `writeOnly: true`; raises ValueError where one could not be followed.

    Nested objects are followed. Below arrays, references and combinators a secret could hide at
    many places or at none, so it is refused there rather than stored in the clear.
    """
    found: list[Path] = []
    for name, value in schema.items():
        if name == "properties" and isinstance(value, dict):
            for key, property_schema in value.items():  # pyright: ignore[reportUnknownVariableType]
                if not isinstance(property_schema, dict):
                    continue
                if property_schema.get("writeOnly") is True:  # pyright: ignore[reportUnknownMemberType]
                    found.append((*path, str(key)))  # pyright: ignore[reportUnknownArgumentType]
                else:
                    found += write_only_paths(property_schema, (*path, str(key)))  # pyright: ignore[reportUnknownArgumentType]
        elif name not in {"const", "enum", "default", "examples"} and _mentions_write_only(value):
            raise ValueError(
                f"writeOnly below {name!r} is not supported: mark a property of an object instead"
            )
    return found


def _mentions_write_only(schema: Any) -> bool:
    if isinstance(schema, dict):
        return schema.get("writeOnly") is True or any(map(_mentions_write_only, schema.values()))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return isinstance(schema, list) and any(map(_mentions_write_only, schema))  # pyright: ignore[reportUnknownArgumentType]


def _without(
    value: Any, path: Path, whole: Path, secrets: list[tuple[Path, Any]]
) -> dict[str, Any]:
    if not isinstance(value, dict) or path[0] not in value:
        return value
    rest: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
    if len(path) == 1:
        secrets.append((whole, rest.pop(path[0])))
    else:
        rest[path[0]] = _without(rest[path[0]], path[1:], whole, secrets)
    return rest


def _with(arguments: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    if len(path) == 1:
        return {**arguments, path[0]: value}
    return {**arguments, path[0]: _with(arguments[path[0]], path[1:], value)}


def _pointer(path: list[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
