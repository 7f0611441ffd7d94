"""The parameters of a call: where callers give each, and where the upstream gets it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import ValidationError

from asyncapiproxy.openapi_import.keywords import plain_value, prose
from asyncapiproxy.openapi_import.remarks import NotExpressibleError
from asyncapiproxy.openapi_import.schemas import ordered
from asynctasks.errors import SchemaInvalidError, in_our_words
from asynctasks.operations.parameter import Parameter
from asynctasks.operations.parameter_reader import ParameterReader
from asynctasks.operations.text_values import ALL_TYPES, possible_types

if TYPE_CHECKING:
    from collections.abc import Collection

    from asyncapiproxy.openapi_import.schemas import Schemas
    from asyncapiproxy.openapi_import.stated_parameters import StatedParameter
    from asynctasks.operations.write_only import Schema

_NO_WORD = re.compile(r"[^A-Za-z0-9_]+")
_OPERATORS = {"label": ".", "matrix": ";"}
_UNWRITTEN = frozenset({"spaceDelimited", "pipeDelimited", "deepObject"})
"""No URI Template (RFC 6570) writes them."""
_COMPOUND = frozenset({"array", "object"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenParameter:
    """A parameter as the file has it."""

    declared: Parameter
    schema: Schema
    is_required: bool
    expression: str
    """What stands for it in the template of the upstream's URL, without braces."""

    @property
    def entry(self) -> dict[str, Any]:
        """What the file lists; empty where the path alone says it."""
        one = self.declared
        entry: dict[str, Any] = {"name": one.name, "in": one.place}
        if one.argument is not None:
            entry["argument"] = one.argument
        if one.style is not None:
            entry["style"] = one.style
        if one.explode is not None:
            entry["explode"] = one.explode
        if one.allow_reserved:
            entry["allowReserved"] = True
        is_implied = one.place == "path" and len(entry) == len(("name", "in"))
        return {} if is_implied else entry


def path_variable(name: str) -> str:
    """The variable of our route that stands for one of the document's, which may have any name."""
    word = _NO_WORD.sub("_", name)
    return word if word[:1].isalpha() or word.startswith("_") else f"_{word}"


def given(stated: StatedParameter, schemas: Schemas, *, taken: Collection[str]) -> GivenParameter:
    """The parameter as the file says it, with an argument that is not `taken`.

    Raises NotExpressibleError.
    """
    schema = _described(stated, schemas)
    definitions = schemas.definitions_of(schema)
    declared = _declared(stated, schema, definitions, taken)
    types = possible_types(schema, {"$defs": definitions})
    _check_writable(stated, declared, types)
    try:
        ParameterReader(declared, {"properties": {declared.gives: schema}, "$defs": definitions})
    except SchemaInvalidError as error:
        raise NotExpressibleError(stated.part.pointer, f"it {error}") from error
    return GivenParameter(
        declared=declared,
        schema=schema,
        is_required=stated.is_required,
        expression=_expression(declared, is_compound=bool(types & _COMPOUND)),
    )


def _described(stated: StatedParameter, schemas: Schemas) -> Schema:
    """Its schema, with what the document says of the parameter itself."""
    if "schema" not in stated.part.value and "content" in stated.part.value:
        raise NotExpressibleError(stated.part.pointer, "its value is a document of its own")
    schema = schemas.converted(stated.schema)
    about = stated.part.value
    if isinstance(about.get("description"), str):
        schema["description"] = prose(about["description"])
    if about.get("deprecated") is True:
        schema["deprecated"] = True
    if "example" in about and "examples" not in schema:
        schema["examples"] = [plain_value(about["example"])]
    return ordered(schema)


def _declared(
    stated: StatedParameter, schema: Schema, definitions: dict[str, Schema], taken: Collection[str]
) -> Parameter:
    about = stated.part.value
    name = path_variable(stated.name) if stated.place == "path" else stated.name
    entry: dict[str, Any] = {"name": name, "in": stated.place}
    argument = _argument(name, stated.place, taken)
    if argument != name:
        entry["argument"] = argument
    types = possible_types(schema, {"$defs": definitions})
    if types & _COMPOUND and types != ALL_TYPES:
        entry |= _style(about)
    elif about.get("style") in _OPERATORS:
        entry["style"] = about["style"]
    if about.get("allowReserved") is True:
        entry["allowReserved"] = True
    try:
        return Parameter.model_validate(entry)
    except ValidationError as error:
        told = "; ".join(in_our_words(str(fault["msg"])) for fault in error.errors())
        raise NotExpressibleError(stated.part.pointer, told) from error


def _style(about: dict[str, Any]) -> dict[str, Any]:
    """How lists and objects are written, where it is not by default."""
    usual = "form" if about.get("in") in {"query", "cookie"} else "simple"
    style, explode = about.get("style", usual), about.get("explode")
    found: dict[str, Any] = {} if style == usual else {"style": style}
    if isinstance(explode, bool) and explode != (style == "form"):
        found["explode"] = explode
    return found


def _argument(name: str, place: str, taken: Collection[str]) -> str:
    """The argument that it gives: of its own name, where that can be one."""
    argument = name
    if place == "header":
        # A header's template names arguments by words alone.
        argument = path_variable(name.lower())
    elif place == "cookie":
        argument = path_variable(name)
    if argument in taken:
        argument += f"_in_{place}"
    while argument in taken:
        argument += "_"
    return argument


def _check_writable(stated: StatedParameter, declared: Parameter, types: frozenset[str]) -> None:
    """Raise NotExpressibleError where callers could give it and the upstream would not get it."""
    if declared.used_style in _UNWRITTEN:
        why = f"no template of a URL writes the style {declared.used_style}"
        raise NotExpressibleError(stated.part.pointer, why)
    if declared.place in {"header", "cookie"} and types & _COMPOUND and types != ALL_TYPES:
        why = f"in a {declared.place} stands a single value, no list or object"
        raise NotExpressibleError(stated.part.pointer, why)


def _expression(declared: Parameter, *, is_compound: bool) -> str:
    name = quote(declared.gives, safe="").replace("-", "%2D").replace("~", "%7E")
    operator = _OPERATORS.get(declared.used_style, "")
    explodes = is_compound and declared.is_exploded
    return f"{operator}{name}{'*' if explodes else ''}"
