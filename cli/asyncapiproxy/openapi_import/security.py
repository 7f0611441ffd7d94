"""How calls of the upstream prove who they are: by secrets of the executor's environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncapiproxy.openapi_import.names import variable_name
from asyncapiproxy.openapi_import.remarks import NotExpressibleError
from asynctasks.json_values import as_array, as_object
from asynctasks.operations.upstream_call import OUR_HEADERS

if TYPE_CHECKING:
    from asyncapiproxy.openapi_import.document import OpenApiDocument, Part
    from asyncapiproxy.openapi_import.remarks import Remarks


@dataclass(frozen=True, slots=True)
class Proof:
    """What a call shows."""

    headers: dict[str, str] = field(default_factory=dict[str, str])
    query: dict[str, str] = field(default_factory=dict[str, str])
    variables: frozenset[str] = frozenset()
    """Of the environment, which stand in them."""

    def has(self, place: str, name: str) -> bool:
        """Whether a secret is shown by a parameter of this place and name."""
        if place == "header":
            return name.lower() in map(str.lower, self.headers)
        return place == "query" and name in self.query


class Security:
    """By the document's security schemes."""

    def __init__(self, document: OpenApiDocument, remarks: Remarks) -> None:
        self._document = document
        self._remarks = remarks

    def proof(self, operation: Part) -> Proof:
        """What calls of an operation show: the first that the document takes and we can show."""
        level = operation if "security" in operation.value else self._document.root
        taken = as_array(level.value.get("security")) or []
        if {} in taken:
            return Proof()
        faults: list[NotExpressibleError] = []
        for one in taken:
            try:
                return self._shown(list(as_object(one) or {}))
            except NotExpressibleError as error:
                faults.append(error)
        for fault in faults:
            self._remarks.left_out(fault)
        return Proof()

    def _shown(self, names: list[str]) -> Proof:
        headers: dict[str, str] = {}
        query: dict[str, str] = {}
        variables: set[str] = set()
        for name in names:
            scheme = self._document.followed(
                self._document.root.below("components", "securitySchemes", name)
            )
            variable = variable_name(name)
            if scheme.value.get("type") == "apiKey" and scheme.value.get("in") == "query":
                query[str(scheme.value.get("name"))] = f"{{{variable}}}"
            else:
                headers |= _header(scheme, variable)
            variables.add(variable)
            self._remarks.add(
                scheme.pointer, f"calls show {{{variable}}}, of the executor's environment"
            )
        return Proof(headers, query, frozenset(variables))


def _header(scheme: Part, variable: str) -> dict[str, str]:
    """The header of a scheme; raises NotExpressibleError."""
    kind, value = scheme.value.get("type"), f"{{{variable}}}"
    words: Any = scheme.value.get("scheme", "")
    if kind in {"oauth2", "openIdConnect"} or (kind == "http" and str(words).lower() == "bearer"):
        return {"Authorization": f"Bearer {value}"}
    if kind == "http":
        return {"Authorization": f"{str(words).capitalize()} {value}"}
    name = str(scheme.value.get("name", ""))
    if kind == "apiKey" and scheme.value.get("in") == "header" and name.lower() not in OUR_HEADERS:
        return {name: value}
    if kind == "apiKey" and scheme.value.get("in") == "cookie":
        return {"Cookie": f"{name}={value}"}
    raise NotExpressibleError(scheme.pointer, "calls cannot show it by a header or the query")
