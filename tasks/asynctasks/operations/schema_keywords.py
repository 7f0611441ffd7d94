"""What a JSON Schema says that no validator would ever check: misspelt words, impossible demands.

JSON Schema passes over what it does not know, so a `require` or an `e-mail` would let everything
through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynctasks.declarations.declared import did_you_mean
from asynctasks.errors import SchemaInvalidError
from asynctasks.json_values import as_array, as_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynctasks.operations.write_only import Location, Schema

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ONE_BELOW = _words(
    "additionalProperties contains contentSchema else if items not propertyNames then "
    "unevaluatedItems unevaluatedProperties"
)
LIST_BELOW = _words("allOf anyOf oneOf prefixItems")
NAMES_BELOW = _words("$defs definitions dependentSchemas patternProperties properties")
OTHERS = _words(
    "$anchor $comment $dynamicAnchor $dynamicRef $id $ref $schema $vocabulary const "
    "contentEncoding contentMediaType default dependentRequired deprecated description enum "
    "examples exclusiveMaximum exclusiveMinimum format maxContains maxItems maxLength "
    "maxProperties maximum minContains minItems minLength minProperties minimum multipleOf "
    "pattern readOnly required title type uniqueItems writeOnly"
)
OF_OPENAPI = _words("discriminator example externalDocs xml")
"""Words that OpenAPI 3.1 adds, for readers only."""
KEYWORDS = ONE_BELOW | LIST_BELOW | NAMES_BELOW | OTHERS | OF_OPENAPI
OF_OTHER_DRAFTS = {
    "additionalItems": "`items` next to `prefixItems`",
    "dependencies": "`dependentRequired` or `dependentSchemas`",
    "nullable": '`type` with "null" in a list',
}
CHECKED_FORMATS = _words(
    "date date-time duration email hostname idn-email idn-hostname ipv4 ipv6 iri iri-reference "
    "json-pointer regex relative-json-pointer time uri uri-reference uri-template uuid"
)
SHOWN_FORMATS = _words("binary byte double float int32 int64 password")
"""OpenAPI's own: readers see them, and nothing checks them."""


def keyword_faults(schema: Schema) -> Iterator[SchemaInvalidError]:
    """Where a part of the schema could never do what it says."""
    for place, part in schemas_in(schema):
        for keyword, value in part.items():
            if fault := _keyword_fault(keyword, value):
                yield SchemaInvalidError((*place, keyword), fault)
        yield from _faults_of_required(place, part)


def schemas_in(schema: Any, at: Location = ()) -> Iterator[tuple[Location, Schema]]:
    """The schema and all below it with their places: never what stands below names or values."""
    keywords = as_object(schema)
    if keywords is None:
        return
    yield at, keywords
    for keyword, value in keywords.items():
        if keyword in ONE_BELOW:
            yield from schemas_in(value, (*at, keyword))
        elif keyword in NAMES_BELOW:
            for name, below in (as_object(value) or {}).items():
                yield from schemas_in(below, (*at, keyword, name))
        elif keyword in LIST_BELOW:
            for index, below in enumerate(as_array(value) or []):
                yield from schemas_in(below, (*at, keyword, index))


def _keyword_fault(keyword: str, value: Any) -> str | None:
    if keyword in OF_OTHER_DRAFTS:
        return f"is of another draft; expected {OF_OTHER_DRAFTS[keyword]}"
    if keyword not in KEYWORDS and not keyword.startswith("x-"):
        return (
            "unknown keyword" + did_you_mean(keyword, KEYWORDS) + "; one of your own begins with x-"
        )
    if keyword == "format" and str(value) not in CHECKED_FORMATS | SHOWN_FORMATS:
        return f"unknown format{did_you_mean(str(value), CHECKED_FORMATS)}"
    if keyword == "$schema" and str(value).removesuffix("#") != DRAFT:
        return f"schemas are read as {DRAFT}"
    return None


def _faults_of_required(place: Location, part: Schema) -> Iterator[SchemaInvalidError]:
    if part.get("additionalProperties") is not False or "patternProperties" in part:
        return
    allowed = as_object(part.get("properties")) or {}
    for index, name in enumerate(as_array(part.get("required")) or []):
        if isinstance(name, str) and name not in allowed:
            yield SchemaInvalidError(
                (*place, "required", index),
                f"{name!r} is required and, by `additionalProperties: false`, not allowed",
            )
