"""All that callers give to one operation outside the body, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asynctasks.errors import (
    ArgumentsInvalidError,
    ParametersInvalidError,
    SchemaInvalidError,
    Violation,
)
from asynctasks.operations.parameter import Parameter
from asynctasks.operations.parameter_reader import ParameterReader
from asynctasks.operations.parameter_styles import (
    ParameterTextError,
    cookie_pairs,
    query_pairs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from asynctasks.operations.parameter import Place
    from asynctasks.operations.parameter_styles import Pair
    from asynctasks.operations.write_only import Schema

MAX_VIOLATIONS = 50
"""As many as a person can use; a caller decides how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """What a request says outside its body, as it was written."""

    variables: dict[str, str]
    """The path's, by name."""
    query: str
    header: Callable[[str], list[str]]
    """All lines of a header."""


class CallParameters:
    """The parameters of one operation."""

    def __init__(
        self, declared: Sequence[Parameter], *, variables: Sequence[str], arguments: Schema
    ) -> None:
        """Take the path's variables, each of which is a parameter unless one is declared for it.

        Raises SchemaInvalidError with the place in the operation.
        """
        self.all = (*declared, *_implied(declared, variables))
        _check_names(declared, variables)
        _check_arguments(self.all, len(declared), arguments.get("properties", {}))
        try:
            self._readers = [ParameterReader(parameter, arguments) for parameter in self.all]
        except SchemaInvalidError as error:
            raise SchemaInvalidError(("arguments", *error.path), str(error)) from error
        self._names = {reader.argument: reader.parameter.name for reader in self._readers}
        self._in_query = _by_name(self._readers, "query")
        self._in_cookies = _by_name(self._readers, "cookie")
        self._deep = [one for one in self._readers if one.parameter.used_style == "deepObject"]

    @property
    def arguments(self) -> frozenset[str]:
        """The arguments that they give."""
        return frozenset(self._names)

    def read(self, head: RequestHead) -> dict[str, Any]:
        """The arguments that are given; raises ParametersInvalidError."""
        pairs, unnamed = self._pairs(head)
        faults = [Violation("", "is no parameter of this operation", name) for name in unnamed]
        arguments: dict[str, Any] = {}
        for reader in self._readers:
            name = reader.parameter.name
            given = pairs.get(reader.argument) or _given_alone(reader.parameter, head)
            if given:
                try:
                    arguments[reader.argument] = reader.read(given)
                except ParameterTextError as error:
                    faults.append(Violation("", str(error), name))
            elif reader.is_required:
                faults.append(Violation("", "is required", name))
        if faults:
            raise ParametersInvalidError(faults[:MAX_VIOLATIONS])
        return arguments

    def pointed(self, error: ArgumentsInvalidError) -> ArgumentsInvalidError:
        """The error with the parameters' names in place of pointers to what they give."""
        violations = [self._pointed(one) for one in error.violations]
        is_of_parameters = all(one.parameter for one in violations)
        return (ParametersInvalidError if is_of_parameters else ArgumentsInvalidError)(violations)

    def _pointed(self, violation: Violation) -> Violation:
        token, slash, rest = violation.pointer.removeprefix("/").partition("/")
        name = self._names.get(token.replace("~1", "/").replace("~0", "~"))
        if name is None:
            return violation
        detail = f"/{rest}: {violation.detail}" if slash else violation.detail
        return Violation("", detail, name)

    def _pairs(self, head: RequestHead) -> tuple[dict[str, list[Pair]], dict[str, None]]:
        """By argument what is given as names and values; and the names that nothing has."""
        found: dict[str, list[Pair]] = {}
        unnamed: dict[str, None] = {}
        for pair in query_pairs(head.query):
            reader = self._in_query.get(pair[0]) or self._of_member(pair[0])
            if reader is None:
                unnamed[pair[0]] = None
            else:
                found.setdefault(reader.argument, []).append(pair)
        if self._in_cookies:
            for pair in cookie_pairs(";".join(head.header("cookie"))):
                if (reader := self._in_cookies.get(pair[0])) is not None:
                    found.setdefault(reader.argument, []).append(pair)
        return found, unnamed

    def _of_member(self, name: str) -> ParameterReader | None:
        return next((reader for reader in self._deep if reader.is_member(name)), None)


def _given_alone(parameter: Parameter, head: RequestHead) -> list[Pair]:
    """What a parameter of the path or of a header is given."""
    if parameter.place == "path":
        return [(parameter.name, head.variables[parameter.name])]
    if parameter.place == "header":
        return [(parameter.name, line) for line in head.header(parameter.name)]
    return []


def _implied(declared: Sequence[Parameter], variables: Sequence[str]) -> list[Parameter]:
    in_path = {parameter.name for parameter in declared if parameter.place == "path"}
    return [
        Parameter.model_validate({"name": name, "in": "path"})
        for name in variables
        if name not in in_path
    ]


def _by_name(readers: Sequence[ParameterReader], place: Place) -> dict[str, ParameterReader]:
    """Those of a place by each name that they have there; raises SchemaInvalidError."""
    found: dict[str, ParameterReader] = {}
    for reader in readers:
        if reader.parameter.place != place:
            continue
        for name in reader.names:
            if found.setdefault(name, reader) is not reader:
                raise SchemaInvalidError(
                    ("parameters",), f"{name!r} is called so by two parameters in {place}"
                )
    return found


def _check_names(declared: Sequence[Parameter], variables: Sequence[str]) -> None:
    """Raise SchemaInvalidError where one has a name that its place does not have, or another's."""
    known: set[tuple[Place, str]] = set()
    for index, parameter in enumerate(declared):
        at = ("parameters", index, "name")
        name = parameter.name.lower() if parameter.place == "header" else parameter.name
        if parameter.place == "path" and name not in variables:
            raise SchemaInvalidError(at, f"the route has no {{{name}}}")
        if (parameter.place, name) in known:
            raise SchemaInvalidError(at, f"another in {parameter.place} has this name")
        known.add((parameter.place, name))


def _check_arguments(
    parameters: Sequence[Parameter], declared: int, properties: Container[str]
) -> None:
    """Raise SchemaInvalidError where one gives no argument, or what another gives."""
    given: set[str] = set()
    for index, parameter in enumerate(parameters):
        argument = parameter.gives
        if argument not in properties and index >= declared:
            raise SchemaInvalidError(
                (), f"{argument!r} stands in the route but is no property of `arguments`"
            )
        if argument not in properties:
            key = "name" if parameter.argument is None else "argument"
            raise SchemaInvalidError(
                ("parameters", index, key), f"{argument!r} is no property of `arguments`"
            )
        if argument in given:
            at = ("parameters", index) if index < declared else ("route",)
            raise SchemaInvalidError(at, f"{argument!r} is given by another parameter already")
        given.add(argument)
