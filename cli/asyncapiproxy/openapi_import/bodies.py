"""The body of a call: an object whose properties are arguments, or bytes that are not read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncapiproxy.openapi_import.document import Part
from asyncapiproxy.openapi_import.remarks import NotExpressibleError
from asynctasks.json_values import as_object
from asynctasks.operations.text_values import ALL_TYPES, possible_types, schemas_of
from asynctasks.operations.upstream_call import WITH_BODY

if TYPE_CHECKING:
    from asyncapiproxy.openapi_import.document import OpenApiDocument
    from asyncapiproxy.openapi_import.remarks import Remarks
    from asyncapiproxy.openapi_import.schemas import Schemas
    from asynctasks.operations.write_only import Schema

JSON = "application/json"
_JSON_TYPE = re.compile(r"application/(json|[^/;]+\+json)")
_OF_A_PLAIN_OBJECT = frozenset(
    {"type", "properties", "required", "allOf", "additionalProperties", "description", "title"}
    | {"example", "examples", "nullable", "discriminator", "externalDocs", "xml", "readOnly"}
    | {"deprecated"}
)
_OF_ALL_MEMBERS = frozenset(
    {"maxProperties", "minProperties", "patternProperties", "propertyNames"}
    | {"unevaluatedProperties"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a call carries. Where it has no `content_types`, it is a JSON object."""

    arguments: Schema = field(default_factory=dict[str, Any])
    """Of the JSON object."""
    json_type: str = JSON
    """The media type of the JSON."""
    content_types: tuple[str, ...] = ()
    """What is taken as it comes."""


class Bodies:
    """Makes them of Request Body Objects."""

    def __init__(self, document: OpenApiDocument, schemas: Schemas, remarks: Remarks) -> None:
        self._document = document
        self._schemas = schemas
        self._remarks = remarks

    def body(self, operation: Part, *, method: str, has_parameters: bool) -> Body | None:
        """That of an operation; None where it has none. Raises NotExpressibleError."""
        if "requestBody" not in operation.value:
            return None
        part = self._document.followed(operation.below("requestBody"))
        media = {one.name.partition(";")[0].strip(): one for one in part.each_below("content")}
        if not media:
            return None
        if method not in WITH_BODY:
            self._refuse(part, method, media)
            return None
        json_type = next((one for one in (JSON, *media) if one in media and _is_json(one)), None)
        if json_type is None:
            return Body(content_types=tuple(media))
        for other in media.keys() - {json_type}:
            self._remarks.add(media[other].pointer, f"left out: callers send {json_type}")
        arguments = self._arguments(media[json_type].below("schema"), has_parameters=has_parameters)
        if arguments is None:
            why = (
                "not checked, and sent on as it comes: it is not an object whose members are known"
            )
            self._remarks.add(media[json_type].below("schema").pointer, why)
            return Body(content_types=(json_type,))
        return Body(arguments=arguments, json_type=json_type)

    def _refuse(self, part: Part, method: str, media: dict[str, Part]) -> None:
        why = f"a {method} carries no body"
        if part.value.get("required") is True:
            raise NotExpressibleError(part.pointer, why)
        if any(_says_something(one) for one in media.values()):
            self._remarks.add(part.pointer, f"left out: {why}")

    def _arguments(self, part: Part, *, has_parameters: bool) -> Schema | None:
        """The schema of an object with names of its own; None where it may be something else."""
        parts = self._plain_parts(part, frozenset()) or []
        if any("properties" in one.value for one in parts):
            return self._merged(parts)
        schema = self._schemas.converted(part, is_sealable="$ref" not in part.value)
        root: Schema = {"$defs": self._schemas.definitions_of(schema)}
        if not _is_object(schema, root) or (has_parameters and _is_closed(schema, root)):
            return None
        is_plain = not {"$ref", "allOf"} & schema.keys()
        return {**schema, "type": "object"} if is_plain else {"type": "object", "allOf": [schema]}

    def _plain_parts(self, part: Part, above: frozenset[str]) -> list[Part] | None:
        """The object, or all those of which it is made, where nothing else is said of it."""
        part = self._document.followed(part)
        schema = part.value
        words = {word for word in schema if not word.startswith("x-")}
        is_object = schema.get("type", "object") == "object"
        if not is_object or not words <= _OF_A_PLAIN_OBJECT or part.pointer in above:
            return None
        found = [Part({**schema, "allOf": []}, part.pointer)]
        for one in part.each_below("allOf"):
            below = self._plain_parts(one, above | {part.pointer})
            if below is None:
                return None
            found += below
        are_open = all("additionalProperties" not in one.value for one in found)
        return found if len(found) == 1 or are_open else None

    def _merged(self, parts: list[Part]) -> Schema:
        merged: Schema = {"type": "object"}
        required: dict[str, None] = {}
        properties: dict[str, Any] = {}
        for part in parts:
            schema = self._schemas.converted(part, is_sealable=True)
            required |= dict.fromkeys(schema.get("required", ()))
            for name, member in (as_object(schema.get("properties")) or {}).items():
                other = properties.get(name, member)
                properties[name] = member if other == member else {"allOf": [other, member]}
            if "additionalProperties" in schema:
                merged["additionalProperties"] = schema["additionalProperties"]
        sent = [name for name in required if not _is_read_only(properties.get(name))]
        if sent:
            merged["required"] = sent
        return {**merged, "properties": properties}


def _is_read_only(schema: Any) -> bool:
    return (as_object(schema) or {}).get("readOnly") is True


def _is_json(media_type: str) -> bool:
    return _JSON_TYPE.fullmatch(media_type) is not None


def _says_something(media: Part) -> bool:
    """Whether there is anything to send: some documents have an empty form with each GET."""
    schema = media.below("schema").value
    return (
        bool(schema.get("properties"))
        or set(schema) - {"properties", "type", "additionalProperties"} != set()
    )


def _is_object(schema: Schema, root: Schema) -> bool:
    """Whether a value is an object; one that has `properties` is meant to be one."""
    types = possible_types(schema, root)
    if types == ALL_TYPES:
        return any("properties" in one for one in schemas_of(schema, root))
    return "object" in types <= {"object", "null"}


def _is_closed(schema: Schema, root: Schema) -> bool:
    """Whether it would refuse members that are given elsewhere in the call."""
    return any(
        one.get("additionalProperties") is False or _OF_ALL_MEMBERS & one.keys()
        for one in schemas_of(schema, root)
    )
