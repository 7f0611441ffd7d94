"""The arguments of a task: checked against their JSON Schema, parted into open and `writeOnly`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from asynctasks.errors import ArgumentsInvalidError, SchemaInvalidError, Violation
from asynctasks.json_values import (
    MAX_LONG_NUMBERS,
    TooManyLongNumbersError,
    as_object,
    exact_numbers,
    is_large,
    number_words,
)
from asynctasks.operations.error_place import error_place
from asynctasks.operations.schema_faults import schema_faults
from asynctasks.operations.schema_keywords import keyword_faults, schemas_in
from asynctasks.operations.storable import unstorable
from asynctasks.operations.validator import compiled
from asynctasks.operations.write_only import Path, Schema, write_only_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_VIOLATIONS = 50
"""As many as a person can use; a caller decides how many there are."""
MAX_MULTIPLES = 5_000
"""The validator divides them to the digit, up to 10 µs each, and nothing else runs meanwhile."""
_TOO_MANY_MULTIPLES = (
    f"has more than {MAX_MULTIPLES} numbers, of which large ones count more than once: "
    "too many where multiples are asked for"
)
_TOO_MANY_LONG_NUMBERS = (
    f"has more than {MAX_LONG_NUMBERS} numbers of more digits than a float has: send them as text"
)


class ArgumentsSchema:
    """One operation's JSON Schema (2020-12), compiled once."""

    def __init__(self, schema: Schema) -> None:
        """Raise SchemaInvalidError where it is no schema we can use."""
        self._validator = _compiled(schema)
        self._asks_for_multiples = any("multipleOf" in part for _, part in schemas_in(schema))
        self.write_only = tuple(write_only_paths(schema))

    def check(self, arguments: Any) -> None:
        """Raise ArgumentsInvalidError with every violation, up to MAX_VIOLATIONS."""
        if faults := unstorable(arguments):
            raise ArgumentsInvalidError(faults)
        if self._asks_for_multiples and number_words(arguments) > MAX_MULTIPLES:
            raise ArgumentsInvalidError([Violation("", _TOO_MANY_MULTIPLES)])
        try:
            arguments = exact_numbers(arguments)
        except TooManyLongNumbersError as error:
            raise ArgumentsInvalidError([Violation("", _TOO_MANY_LONG_NUMBERS)]) from error
        if self._validator.is_valid(arguments):
            return
        try:
            errors = self._errors(arguments)
        except ValueError as error:  # its own limit of depth
            raise ArgumentsInvalidError([Violation("", "is nested too deeply")]) from error
        raise ArgumentsInvalidError(
            [Violation(pointer(error_place(error, arguments)), _detail(error)) for error in errors]
        )

    def _errors(self, arguments: Any) -> list[jsonschema_rs.ValidationError]:
        """Up to MAX_VIOLATIONS; of large arguments the first.

        The validator finds all, and one may cost it 0.2 ms.
        """
        if not is_large(arguments):
            return list(islice(self._validator.iter_errors(arguments), MAX_VIOLATIONS))
        try:
            self._validator.validate(arguments)
        except jsonschema_rs.ValidationError as error:
            return [error]
        raise AssertionError("what is not valid has an error")

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


def _compiled(schema: Schema) -> jsonschema_rs.Draft202012Validator:
    faults: list[SchemaInvalidError] = []
    validator = None
    try:
        validator = compiled(schema, mask="the value")
    except ValueError:
        faults += schema_faults(schema)
    faults += keyword_faults(schema)
    if validator is None or faults:
        raise SchemaInvalidError.of(faults)
    return validator


def _detail(error: jsonschema_rs.ValidationError) -> str:
    if error.kind.name != "falseSchema":
        return error.message
    # With no `properties` next to it, `additionalProperties: false` is a fault of the whole object.
    if error.schema_path[-1:] == ["additionalProperties"]:
        return "Properties are not allowed here"
    return "Nothing is allowed here"


def _without(value: Any, path: Path, whole: Path, secrets: list[tuple[Path, Any]]) -> Any:
    properties = as_object(value)
    if properties is None or path[0] not in properties:
        return value
    rest = dict(properties)
    if len(path) == 1:
        secrets.append((whole, rest.pop(path[0])))
    else:
        rest[path[0]] = _without(rest[path[0]], path[1:], whole, secrets)
    return rest


def _with(arguments: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    if len(path) == 1:
        return {**arguments, path[0]: value}
    return {**arguments, path[0]: _with(arguments[path[0]], path[1:], value)}


def pointer(path: Sequence[str | int]) -> str:
    """The JSON Pointer (RFC 6901) of a place."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
