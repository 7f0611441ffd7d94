"""The JSON Schemas of the operations as components of the OpenAPI document.

There a reference leads to a part of the document, not of the schema that it stands in. And what has
a name among the components has one in generated clients.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from asynctasks.json_values import as_array, as_object
from asynctasks.operations.write_only import DATA_KEYWORDS

if TYPE_CHECKING:
    from asynctasks.operations.write_only import Schema

_PREFIX = "#/components/schemas/"
_DEFINITION = re.compile(r"#/\$defs/([^/]+)(.*)")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class ComponentSchemas:
    """The document's components, to which each operation adds its schemas."""

    def __init__(self, ours: dict[str, Schema]) -> None:
        self.all = dict(ours)

    def add(self, operation: str, kind: str, schema: Schema) -> ComponentSchema:
        """The schema under a name made of the two: `create-client`, `Arguments`."""
        words = "".join(word.capitalize() for word in operation.split("-"))
        name = f"{words}{kind}"
        while name in self.all:
            name += "_"
        added = ComponentSchema(name)
        self.all[name] = added.schema = added.leading_here(_without_definitions(schema))
        for definition, below in (as_object(schema.get("$defs")) or {}).items():
            self.all[added.name_of(definition)] = added.leading_here(below)
        return added


class ComponentSchema:
    """One schema among the components."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.schema: Schema = {}

    @property
    def reference(self) -> Schema:
        """What stands for it elsewhere in the document."""
        return {"$ref": f"{_PREFIX}{self.name}"}

    def name_of(self, definition: str) -> str:
        """The component that one of its `$defs` becomes."""
        return f"{self.name}.{_UNFIT.sub('_', definition)}"

    def leading_here(self, part: Any) -> Any:
        """A part of it whose references lead to where that stands now."""
        if (values := as_array(part)) is not None:
            return [self.leading_here(value) for value in values]
        if (keywords := as_object(part)) is None:
            return part
        found = {
            keyword: value if keyword in DATA_KEYWORDS else self.leading_here(value)
            for keyword, value in keywords.items()
        }
        if isinstance(found.get("$ref"), str):
            found["$ref"] = self._led(found["$ref"])
        return found

    def _led(self, reference: str) -> str:
        if match := _DEFINITION.fullmatch(reference):
            return f"{_PREFIX}{self.name_of(match[1])}{match[2]}"
        return f"{_PREFIX}{self.name}{reference[1:]}" if reference.startswith("#") else reference


def _without_definitions(schema: Schema) -> Schema:
    return {keyword: value for keyword, value in schema.items() if keyword != "$defs"}
