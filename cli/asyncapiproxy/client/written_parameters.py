"""Writes arguments as parameters of a call, in the styles of OpenAPI 3.1 (§4.8.12.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from asynctasks.json_values import as_array, as_object, write_json


@dataclass(frozen=True, slots=True)
class DeclaredParameter:
    """An argument that stands outside the body, as the proxy's OpenAPI document declares it."""

    name: str
    place: str
    argument: str
    style: str
    explode: bool
    schema: Any

    def written(self, value: Any) -> list[str]:
        """The argument as text: in query and cookies `name=value` each, else one text."""
        name, pieces = self._encoded(self.name), self._pieces(value)
        is_members = as_object(value) is not None and self.explode
        if self.style == "matrix" and self.explode:
            return ["".join(f";{one}" if is_members else f";{name}={one}" for one in pieces)]
        if self.style == "matrix":
            return [f";{name}={','.join(pieces)}"]
        if self.style == "label":
            return ["." + ("." if self.explode else ",").join(pieces)]
        if self.style == "simple":
            return [",".join(pieces)]
        if not self.explode:
            between = {"spaceDelimited": "%20", "pipeDelimited": "%7C"}.get(self.style, ",")
            return [f"{name}={between.join(pieces)}"]
        return pieces if is_members else [f"{name}={one}" for one in pieces]

    def _pieces(self, value: Any) -> list[str]:
        if (members := as_object(value)) is not None:
            pairs = [(self._member(key), self._encoded(one)) for key, one in members.items()]
            if self.explode:
                return [f"{key}={text}" for key, text in pairs]
            return [text for pair in pairs for text in pair]
        items = as_array(value)
        return [self._encoded(one) for one in ([value] if items is None else items)]

    def _member(self, name: str) -> str:
        is_deep = self.style == "deepObject"
        return self._encoded(f"{self.name}[{name}]" if is_deep else name)

    def _encoded(self, value: Any) -> str:
        text = value if isinstance(value, str) else write_json(value).decode()
        return text if self.place == "header" else quote(text, safe="")
