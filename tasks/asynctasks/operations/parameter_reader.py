"""Reads one parameter of a call by the schema of the argument that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynctasks.errors import SchemaInvalidError
from asynctasks.json_values import as_array, as_object, exact_numbers
from asynctasks.operations.parameter_styles import (
    ParameterTextError,
    items,
    member_name,
    members,
    single,
)
from asynctasks.operations.text_values import (
    ALL_TYPES,
    SCALARS,
    TextReader,
    fits_within,
    possible_types,
    schemas_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from asynctasks.operations.parameter import Parameter, Style
    from asynctasks.operations.parameter_styles import Pair
    from asynctasks.operations.write_only import Location, Schema

_LISTS_ONLY: frozenset[Style] = frozenset({"spaceDelimited", "pipeDelimited"})


class ParameterReader:
    """Reads one parameter: a single value, a list or an object, as the schema and style allow."""

    def __init__(self, parameter: Parameter, arguments: Schema) -> None:
        """Raise SchemaInvalidError where the style can write nothing of what the schema wants."""
        self.parameter = parameter
        self.argument = parameter.gives
        self.is_required = parameter.place == "path" or self.argument in arguments.get(
            "required", ()
        )
        schema = arguments["properties"][self.argument]
        at = ("properties", self.argument)
        types = _written_types(parameter, possible_types(schema, arguments))
        self._members: dict[str, TextReader] = {}
        self._ways: list[Callable[[Sequence[Pair]], Any]] = []
        if types & SCALARS:
            self._single = TextReader(schema, arguments, at=at)
            self._ways.append(self._read_single)
        if "array" in types:
            self._item = TextReader(_item_schema(schema, arguments), arguments, at=at)
            self._ways.append(self._read_items)
        if "object" in types:
            self._members = {
                name: TextReader(member, arguments, at=at)
                for name, member in _member_schemas(schema, arguments)
            }
            others = _other_members_schema(schema, arguments)
            self._other_member = TextReader(others, arguments, at=at)
            self._ways.append(self._read_members)
        self._fits = fits_within(schema, arguments, at=at)
        self._check_ways(at)

    def _check_ways(self, at: Location) -> None:
        style = self.parameter.used_style
        if not self._ways:
            raise SchemaInvalidError(
                at, f"is a parameter of the style {style}, which can write nothing of this type"
            )
        if self._has_members_as_parameters and not self._members:
            raise SchemaInvalidError(
                at,
                "each of its members is a parameter by `style: form` and `explode: true`: expected "
                "`properties`, or another style",
            )

    @property
    def names(self) -> frozenset[str]:
        """What it is called where names and values stand: in the query and in cookies."""
        if self._has_members_as_parameters:
            return frozenset(self._members)
        is_named = self.parameter.used_style != "deepObject"
        return frozenset({self.parameter.name} if is_named else ())

    def is_member(self, name: str) -> bool:
        """Whether a name of the query is that of a member, by deepObject."""
        return (
            self.parameter.used_style == "deepObject"
            and member_name(self.parameter, name) is not None
        )

    def read(self, given: Sequence[Pair]) -> Any:
        """The argument, which fits the schema where it can; raises ParameterTextError."""
        if len(self._ways) == 1:
            return self._ways[0](given)
        readings: list[Any] = []
        fault: ParameterTextError | None = None
        for way in self._ways:
            try:
                value = way(given)
            except ParameterTextError as error:
                fault = fault or error
                continue
            if self._fits(exact_numbers(value)):
                return value
            readings.append(value)
        if not readings and fault is not None:
            raise fault
        return readings[0]

    @property
    def _has_members_as_parameters(self) -> bool:
        style, explode = self.parameter.used_style, self.parameter.is_exploded
        return style == "form" and explode and self._ways == [self._read_members]

    def _read_single(self, given: Sequence[Pair]) -> Any:
        return self._single.read(single(self.parameter, given))

    def _read_items(self, given: Sequence[Pair]) -> Any:
        return [self._item.read(text) for text in items(self.parameter, given)]

    def _read_members(self, given: Sequence[Pair]) -> Any:
        return {
            name: self._members.get(name, self._other_member).read(text)
            for name, text in members(self.parameter, given).items()
        }


def _written_types(parameter: Parameter, types: frozenset[str]) -> frozenset[str]:
    """Those of the types that the style may have written."""
    style = parameter.used_style
    if style == "deepObject":
        return types & {"object"}
    if style in _LISTS_ONLY:
        return types & ({"array"} if types == ALL_TYPES else {"array", "object"})
    if types == ALL_TYPES:
        return SCALARS
    is_exploded_form = style == "form" and parameter.is_exploded
    # Beside other types, nothing would tell the members from other parameters.
    return types - {"object"} if is_exploded_form and types - {"object"} else types


def _item_schema(schema: Any, root: Schema) -> Any:
    """What describes the items of a list: what stands below `items` and `prefixItems`."""
    found: list[Any] = []
    for part in schemas_of(schema, root):
        found += as_array(part.get("prefixItems")) or []
        found.append(part.get("items", False))
    return _any_of([item for item in found if item is not False])


def _member_schemas(schema: Any, root: Schema) -> Iterator[tuple[str, Any]]:
    """What describes each member of an object that is named."""
    found: dict[str, list[Any]] = {}
    for part in schemas_of(schema, root):
        for name, member in (as_object(part.get("properties")) or {}).items():
            found.setdefault(name, []).append(member)
    return ((name, _any_of(parts)) for name, parts in found.items())


def _other_members_schema(schema: Any, root: Schema) -> Any:
    found = (part.get("additionalProperties") for part in schemas_of(schema, root))
    return _any_of([part for part in found if as_object(part) is not None])


def _any_of(schemas: list[Any]) -> Any:
    if len(schemas) > 1:
        return {"anyOf": schemas}
    return schemas[0] if schemas else True
