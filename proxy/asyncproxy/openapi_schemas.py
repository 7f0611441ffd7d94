"""The JSON Schemas of the operations as components of the OpenAPI document.

There a reference leads to a part of the document, not of the schema that it stands in. And what has
a name among the components has one in generated clients.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from asyncproxy.schemas import SCHEMAS, reference
from asynctasks.json_values import as_array, as_object
from asynctasks.operations.schema_keywords import schemas_in

if TYPE_CHECKING:
    from asynctasks.operations.write_only import Schema

_DEFINITION = re.compile(r"#/\$defs/([^/]+)(.*)")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class ComponentSchemas:
    """The document's components, to which each operation adds its schemas."""

    def __init__(self, ours: dict[str, Schema]) -> None:
        self._all = dict(ours)

    def add(self, operation: str, kind: str, schema: Schema) -> ComponentSchema:
        """The schema under a name made of the two: `create-client`, `Arguments`."""
        words = "".join(word.capitalize() for word in operation.split("-"))
        name = f"{words}{kind}"
        while name in self._all:
            name += "_"
        added = ComponentSchema(name, schema)
        self._all[name] = added.schema
        self._all |= added.definitions
        return added

    def used_in(self, paths: dict[str, Any]) -> dict[str, Schema]:
        """Those that the paths refer to, directly or by way of others."""
        used: set[str] = set()
        waiting: list[Any] = [paths]
        while waiting:
            one = waiting.pop()
            members = as_object(one)
            if members is None:
                waiting.extend(as_array(one) or ())
                continue
            waiting.extend(members.values())
            name = str(members.get("$ref", "")).removeprefix(SCHEMAS).partition("/")[0]
            if name in self._all and name not in used:
                used.add(name)
                waiting.append(self._all[name])
        return {name: schema for name, schema in self._all.items() if name in used}


class ComponentSchema:
    """One schema among the components, and its `$defs` beside it."""

    def __init__(self, name: str, schema: Schema) -> None:
        self._name = name
        self.schema = deepcopy(schema)
        for _, part in schemas_in(self.schema):
            if isinstance(part.get("$ref"), str):
                part["$ref"] = self._led(part["$ref"])
        definitions = as_object(self.schema.pop("$defs", None)) or {}
        self.definitions = {self._name_of(name): below for name, below in definitions.items()}

    @property
    def reference(self) -> Schema:
        """What stands for it elsewhere in the document."""
        return reference(self._name)

    def _name_of(self, definition: str) -> str:
        """The component that one of its `$defs` becomes."""
        return f"{self._name}.{_UNFIT.sub('_', definition)}"

    def _led(self, given: str) -> str:
        """Where a reference within the schema leads to in the document."""
        if match := _DEFINITION.fullmatch(given):
            definition = match[1].replace("~1", "/").replace("~0", "~")
            return f"{SCHEMAS}{self._name_of(definition)}{match[2]}"
        return f"{SCHEMAS}{self._name}{given[1:]}" if given.startswith("#") else given
