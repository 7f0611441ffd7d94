"""The document's schemas as JSON Schema 2020-12, each with all that it refers to."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from asyncapiproxy.openapi_import.document import escaped
from asyncapiproxy.openapi_import.keywords import is_nullable, or_null, simple_keywords
from asyncapiproxy.openapi_import.remarks import NotExpressibleError
from asynctasks.json_values import as_array, as_object
from asynctasks.operations.schema_keywords import (
    LIST_BELOW,
    NAMES_BELOW,
    ONE_BELOW,
    schemas_in,
)

if TYPE_CHECKING:
    from asyncapiproxy.openapi_import.document import OpenApiDocument, Part
    from asyncapiproxy.openapi_import.remarks import Remarks
    from asynctasks.operations.write_only import Schema

Direction = Literal["request", "response"]
DEFINITIONS = "#/$defs/"
_COMPONENTS = "#/components/schemas/"
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")
_ORDER = (
    *("$ref", "type", "format", "x-format", "description", "deprecated", "enum", "const"),
    *("minLength", "maxLength", "pattern", "minimum", "exclusiveMinimum", "maximum"),
    *("exclusiveMaximum", "default", "required", "additionalProperties", "properties", "items"),
)
"""As a person writes them; what is not here comes last."""
_FIRST = {keyword: place for place, keyword in enumerate(_ORDER)}


class Schemas:
    """Those of what callers send, or of what the upstream answers."""

    def __init__(self, document: OpenApiDocument, remarks: Remarks, direction: Direction) -> None:
        self._document = document
        self._remarks = remarks
        self._direction: Direction = direction
        self._names: dict[str, str] = {}
        self._targets: dict[str, Part] = {}
        self._definitions: dict[str, Schema] = {}

    def converted(self, part: Part, *, is_sealable: bool = False) -> Schema:
        """The schema, whose references lead to `$defs`.

        Where it `is_sealable`, its properties may be `writeOnly`; elsewhere no file may have that.
        """
        schema = part.value
        told = partial(self._told, part)
        if "$ref" in schema:
            return self._referring(part)
        wraps = is_nullable(schema) and not {"type", "enum"} & schema.keys()
        found = simple_keywords(schema, told)
        below = is_sealable and not wraps
        if found.get("writeOnly") is True and not is_sealable and self._direction == "request":
            del found["writeOnly"]
            told("writeOnly", "is not sealed: only properties of the body and of its objects are")
        for keyword in schema:
            if keyword in ONE_BELOW | LIST_BELOW | NAMES_BELOW:
                found |= self._below(part, keyword, is_sealable=below)
        found |= self._required(part)
        found = _without_idle_all_of(found)
        return ordered(or_null(found) if is_nullable(schema) else found)

    def definitions_of(self, schema: Schema) -> dict[str, Schema]:
        """All that a converted schema refers to, directly or by way of others."""
        used: dict[str, Schema] = {}
        waiting = [schema]
        while waiting:
            for _, part in schemas_in(waiting.pop()):
                name = str(part.get("$ref", "")).removeprefix(DEFINITIONS)
                if name in self._targets and name not in used:
                    used[name] = self._definition(name)
                    waiting.append(used[name])
        return dict(sorted(used.items()))

    def bundled(self, schema: Schema) -> Schema:
        """A converted schema with all that it refers to, so that it stands alone."""
        only = str(schema.get("$ref", "")).removeprefix(DEFINITIONS) if len(schema) == 1 else ""
        if only in self._targets and only not in self.definitions_of(self._definition(only)):
            schema = self._definition(only)
        definitions = self.definitions_of(schema)
        return {**schema, "$defs": definitions} if definitions else schema

    def _told(self, part: Part, keyword: str, text: str) -> None:
        self._remarks.add(f"{part.pointer}/{escaped(keyword)}", text)

    def _below(self, part: Part, keyword: str, *, is_sealable: bool) -> Schema:
        """The schemas below a keyword, converted."""
        value = part.value[keyword]
        if keyword in {"$defs", "definitions"}:
            return {}  # what refers to them makes definitions of its own
        if keyword == "items" and as_array(value) is not None:
            return {"prefixItems": self._list(part, keyword)}  # as drafts before 2020-12 wrote it
        if keyword in ONE_BELOW:
            return {keyword: self._one(part, keyword)}
        if keyword in LIST_BELOW:
            parts = self._list(part, keyword)
            return {keyword: parts} if parts else {}
        may_be_sealed = is_sealable and keyword == "properties"
        names = as_object(value) or {}
        return {
            keyword: {
                name: self._one(part, keyword, name, is_sealable=may_be_sealed) for name in names
            }
        }

    def _list(self, part: Part, keyword: str) -> list[Any]:
        return [
            self._one(part, keyword, index)
            for index, _ in enumerate(as_array(part.value[keyword]) or [])
        ]

    def _one(self, part: Part, *place: str | int, is_sealable: bool = False) -> Any:
        value: Any = part.value
        for name in place:
            value = value[name]
        if isinstance(value, bool):
            return value
        return self.converted(part.below(*place), is_sealable=is_sealable)

    def _required(self, part: Part) -> Schema:
        """The names without those that callers do not send, since they are for reading alone."""
        names = as_array(part.value.get("required"))
        if names is None:
            if "required" in part.value:
                self._told(part, "required", "not checked: expected a list of properties")
            return {}
        properties = part.below("properties")
        is_closed = part.value.get("additionalProperties") is False
        kept: list[str] = []
        for name in dict.fromkeys(map(str, names)):
            if is_closed and name not in properties.value and "patternProperties" not in part.value:
                text = f"{name!r} is required and not allowed: not required in the file"
                self._told(part, "required", text)
            elif self._is_sent(properties.below(name)):
                kept.append(name)
        return {"required": kept} if kept else {}

    def _is_sent(self, part: Part) -> bool:
        unsent = "readOnly" if self._direction == "request" else "writeOnly"
        try:
            followed = self._document.followed(part)
        except NotExpressibleError:
            return True  # told where it is converted
        return part.value.get(unsent) is not True and followed.value.get(unsent) is not True

    def _referring(self, part: Part) -> Schema:
        """A reference; what stands next to it counts in OpenAPI 3.1 alone, but for its texts."""
        rest = {key: value for key, value in part.value.items() if key != "$ref"}
        if self._document.is_3_0:
            rest = {key: value for key, value in rest.items() if key == "description"}
        beside = self.converted(type(part)(rest, part.pointer)) if rest else {}
        try:
            target = self._document.referred(str(part.value["$ref"]), at=f"{part.pointer}/$ref")
        except NotExpressibleError as error:
            self._remarks.add(error.pointer, f"not checked: {error}")
            return beside
        if _is_leaf(target.value):
            return ordered({**self.converted(target), **beside})
        return ordered({"$ref": DEFINITIONS + self._name_of(target), **beside})

    def _definition(self, name: str) -> Schema:
        """Made when it is asked for: one that led to the next at once would nest without end."""
        if name not in self._definitions:
            self._definitions[name] = self.converted(self._targets[name])
        return self._definitions[name]

    def _name_of(self, target: Part) -> str:
        """The definition that a part of the document becomes."""
        if target.pointer not in self._names:
            name = _UNFIT.sub(".", target.pointer.removeprefix(_COMPONENTS).removeprefix("#/"))
            while name in self._targets:
                name += "_"
            self._names[target.pointer] = name
            self._targets[name] = target
        return self._names[target.pointer]


def ordered(schema: Schema) -> Schema:
    """The keywords as a person would write them: first what it is, last what is below."""
    return dict(sorted(schema.items(), key=lambda item: _FIRST.get(item[0], len(_FIRST))))


def _is_leaf(schema: Schema) -> bool:
    """Whether no schema stands below it: it is written where it is used."""
    return not (ONE_BELOW | LIST_BELOW | NAMES_BELOW | {"$ref"}) & schema.keys()


def _without_idle_all_of(schema: Schema) -> Schema:
    """Without an `allOf` of one, by which OpenAPI 3.0 writes a text next to a reference."""
    parts = schema.get("allOf", [])
    if len(parts) != 1 or not isinstance(parts[0], dict):
        return schema
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    only = parts[0]
    return {**only, **rest} if rest.keys() <= {"description", "deprecated", "default"} else schema
