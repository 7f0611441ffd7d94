"""An OpenAPI document, and where the references within it lead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from asyncapiproxy.openapi_import.remarks import DocumentError, NotExpressibleError
from asynctasks.json_values import as_array, as_object, found_at

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION = re.compile(r"3\.[01](\..*)?")


@dataclass(frozen=True, slots=True)
class Part:
    """An object of the document, and where it stands."""

    value: dict[str, Any]
    pointer: str

    def below(self, *names: str | int) -> Part:
        """What stands below these names; empty where there is no such object."""
        value: Any = self.value
        pointer = self.pointer
        for name in names:
            items = as_array(value)
            if items is not None:
                value = items[name] if isinstance(name, int) and name < len(items) else None
            else:
                value = (as_object(value) or {}).get(str(name))
            pointer += f"/{escaped(name)}"
        return Part(as_object(value) or {}, pointer)

    def each_below(self, *names: str) -> Iterator[Part]:
        """The objects of a list, or those of an object, that stands below these names."""
        value: Any = self.value
        for name in names:
            value = (as_object(value) or {}).get(name)
        items = as_array(value)
        found = (as_object(value) or {}).keys() if items is None else range(len(items))
        return (self.below(*names, one) for one in found)

    @property
    def name(self) -> str:
        """The last word of its pointer."""
        return self.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


class OpenApiDocument:
    """A document of OpenAPI 3.0 or 3.1."""

    def __init__(self, value: Any, *, name: str) -> None:
        """Raise DocumentError where it is none; `name` is what messages call it."""
        found = as_object(value)
        if found is None:
            raise DocumentError(f"{name}: expected an OpenAPI document, which is keys and values")
        if "swagger" in found:
            raise DocumentError(
                f"{name}: is of Swagger {found['swagger']}; expected OpenAPI 3.0 or 3.1, of which "
                "converters make one: swagger2openapi, for instance"
            )
        version = str(found.get("openapi"))
        if not _VERSION.fullmatch(version):
            told = f"it says {version}" if "openapi" in found else "it has no such key"
            raise DocumentError(f"{name}: expected `openapi: 3.0…` or `3.1…`; {told}")
        self.root = Part(found, "#")
        self.is_3_0 = version.startswith("3.0")

    @property
    def title(self) -> str:
        """What it is about and of which version, on one line."""
        info = self.root.below("info").value
        return " ".join(f"{info.get('title', 'An API')} {info.get('version', '')}".split())

    def followed(self, part: Part) -> Part:
        """The part, or what it refers to; raises NotExpressibleError."""
        seen = {part.pointer}
        while isinstance(reference := part.value.get("$ref"), str):
            part = self.referred(reference, at=part.pointer)
            if part.pointer in seen:
                raise NotExpressibleError(part.pointer, "refers to itself")
            seen.add(part.pointer)
        return part

    def referred(self, reference: str, *, at: str) -> Part:
        """What a reference leads to, which stands `at` a pointer; raises NotExpressibleError."""
        if not reference.startswith("#"):
            raise NotExpressibleError(
                at, f"{reference} is in another document: bundle them into one first"
            )
        pointer = unquote(reference[1:])
        found = as_object(found_at(pointer, self.root.value))
        if found is None:
            raise NotExpressibleError(at, f"{reference} leads nowhere")
        return Part(found, f"#{pointer}")


def escaped(name: str | int) -> str:
    """A name as a JSON Pointer has it (RFC 6901)."""
    return str(name).replace("~", "~0").replace("/", "~1")
