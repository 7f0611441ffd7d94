"""The parameters of a call as the document has them: those of its path, and its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncapiproxy.openapi_import.document import Part
from asyncapiproxy.openapi_import.remarks import NotExpressibleError
from asynctasks.json_values import as_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncapiproxy.openapi_import.document import OpenApiDocument
    from asyncapiproxy.openapi_import.remarks import Remarks

_OF_STYLE = frozenset({"style", "explode"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedParameter:
    """A parameter as the document has it."""

    name: str
    place: str
    part: Part
    """Its Parameter Object."""
    schema: Part
    is_required: bool


def stated_parameters(
    document: OpenApiDocument, path_item: Part, operation: Part, remarks: Remarks
) -> list[StatedParameter]:
    """All of a call; raises NotExpressibleError for a reference that leads nowhere."""
    found: dict[tuple[str, str], StatedParameter] = {}
    for listed in (*path_item.each_below("parameters"), *operation.each_below("parameters")):
        part = document.followed(listed)
        name, place = str(part.value.get("name")), str(part.value.get("in"))
        found[place, name] = StatedParameter(
            name=name,
            place=place,
            part=part,
            schema=part.below("schema"),
            is_required=part.value.get("required") is True or place == "path",
        )
    return [
        one
        for stated in found.values()
        for one in (
            _members(stated, document, remarks)
            if stated.part.value.get("style") == "deepObject"
            else [stated]
        )
    ]


def _members(
    stated: StatedParameter, document: OpenApiDocument, remarks: Remarks
) -> Iterator[StatedParameter]:
    """Each member of a deepObject as a parameter of its own, which is written in the same way.

    What else the schema takes in its place is a parameter of the plain name.
    """
    forms = list(_forms(stated.schema, document))
    is_plain_told = False
    for form in forms:
        if form.below("properties").value:
            required = as_array(form.value.get("required")) or []
            for member in form.each_below("properties"):
                yield StatedParameter(
                    name=f"{stated.name}[{member.name}]",
                    place=stated.place,
                    part=Part({}, member.pointer),
                    schema=member,
                    is_required=stated.is_required and len(forms) == 1 and member.name in required,
                )
        elif form.value.get("type") == "array":
            # OpenAPI leaves it open; Stripe, Rails and PHP write it so.
            yield StatedParameter(
                name=f"{stated.name}[]",
                place=stated.place,
                part=Part({}, stated.part.pointer),
                schema=form,
                is_required=stated.is_required and len(forms) == 1,
            )
        elif _is_single(form) and not is_plain_told:
            is_plain_told = True
            about = {key: it for key, it in stated.part.value.items() if key not in _OF_STYLE}
            yield StatedParameter(
                name=stated.name,
                place=stated.place,
                part=Part(about, stated.part.pointer),
                schema=form,
                is_required=stated.is_required and len(forms) == 1,
            )
        else:
            why = "deepObject writes a list, or an object by its `properties`"
            if stated.is_required and len(forms) == 1:
                raise NotExpressibleError(form.pointer, why)
            remarks.add(form.pointer, f"left out: {why}")


def _forms(schema: Part, document: OpenApiDocument) -> Iterator[Part]:
    """The schema, or all those of which it takes any."""
    schema = document.followed(schema)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema.value:
            for one in schema.each_below(keyword):
                yield from _forms(one, document)
            return
    yield schema


def _is_single(schema: Part) -> bool:
    return schema.value.get("type") not in {None, "object"}
