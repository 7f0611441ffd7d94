"""What a caller knows of an operation: its route and its arguments, from the proxy's OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncapiproxy.client.errors import ArgumentUnknownError, PathArgumentMissingError
from asyncapiproxy.client.written_parameters import DeclaredParameter
from asynctasks.json_values import as_object, found_at

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, Any]

_TAG = "operations"
OF_THE_PROXY = frozenset(
    {
        *("Prefer", "Idempotency-Key", "Task-Deadline", "Task-Delay", "Task-Labels"),
        *("Task-Priority", "Task-Batch", "Task-Callback"),
    }
)
"""Headers that say how the task is to be run: the document lists them beside the arguments."""
MAX_REFERENCES = 20
"""From one schema to the next; more are a circle."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a call consists of."""

    url: str
    """The path and the query."""
    headers: list[tuple[str, bytes]]
    body: Document | None
    """None where the operation takes none."""


@dataclass(frozen=True, slots=True)
class DeclaredOperation:
    """An operation as the proxy's OpenAPI document declares it."""

    name: str
    summary: str
    method: str
    path: str
    parameters: tuple[DeclaredParameter, ...]
    body_schemas: dict[str, Any] | None
    """The schema of each argument in the body; None where they are all elsewhere."""
    required: frozenset[str] = frozenset()
    """The arguments that a call cannot do without."""
    content_types: tuple[str, ...] = ()
    """What a body may be that is taken as it comes; none where it is JSON, or there is none."""

    @property
    def schemas(self) -> dict[str, Any]:
        """The schema of each argument."""
        elsewhere = {parameter.argument: parameter.schema for parameter in self.parameters}
        return {**(self.body_schemas or {}), **elsewhere}

    def place_of(self, argument: str) -> str:
        """Where an argument stands: in the path, the query, a header, a cookie or the body."""
        places = {parameter.argument: parameter.place for parameter in self.parameters}
        return places.get(argument, "body")

    def request(self, arguments: Document) -> Request:
        """A call with these arguments; raises PathArgumentMissingError, ArgumentUnknownError."""
        path = self.path
        written: dict[str, list[str]] = {"query": [], "cookie": []}
        headers: list[tuple[str, bytes]] = []
        for parameter in self.parameters:
            value = arguments.get(parameter.argument)
            if parameter.place == "path":
                path = path.replace(f"{{{parameter.name}}}", self._in_path(parameter, value))
            elif value is not None and parameter.place == "header":
                headers += ((parameter.name, text.encode()) for text in parameter.written(value))
            elif value is not None:
                written[parameter.place] += parameter.written(value)
        if written["cookie"]:
            headers.append(("Cookie", "; ".join(written["cookie"]).encode()))
        url = "?".join(filter(None, (path, "&".join(written["query"]))))
        return Request(url, headers, self._body(arguments))

    def _in_path(self, parameter: DeclaredParameter, value: Any) -> str:
        if value is None:
            raise PathArgumentMissingError(
                f"{self.name} is called at {self.path}: give {parameter.argument}=…"
            )
        return parameter.written(value)[0]

    def _body(self, arguments: Document) -> Document | None:
        elsewhere = {parameter.argument for parameter in self.parameters}
        body = {name: value for name, value in arguments.items() if name not in elsewhere}
        if self.body_schemas is not None:
            return body
        for name in body:
            known = ", ".join(sorted(elsewhere)) or "none"
            raise ArgumentUnknownError(f"{self.name} has no argument {name}. It has: {known}")
        return None


def declared_operations(openapi: Document) -> dict[str, DeclaredOperation]:
    """The operations in an OpenAPI document of a proxy, by name."""
    return {operation.name: operation for operation in _operations(openapi)}


def _operations(openapi: Document) -> Iterator[DeclaredOperation]:
    paths: dict[str, dict[str, Document]] = openapi.get("paths", {})
    for path, calls in paths.items():
        for method, call in calls.items():
            if _TAG in call.get("tags", ()):
                yield _operation(path, method, call, openapi)


def _operation(path: str, method: str, call: Document, openapi: Document) -> DeclaredOperation:
    content: Document = call.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    body = as_object(_resolved(schema, openapi)) or {}
    is_json = "properties" in body or body.get("type") == "object"
    parameters = [
        parameter
        for parameter in call.get("parameters", ())
        if not (parameter["in"] == "header" and parameter["name"] in OF_THE_PROXY)
    ]
    named = {one.get("x-argument", one["name"]) for one in parameters if one.get("required")}
    return DeclaredOperation(
        name=call["operationId"],
        summary=call.get("summary", ""),
        method=method.upper(),
        path=path,
        parameters=tuple(_parameter(parameter, openapi) for parameter in parameters),
        body_schemas={
            name: _resolved(schema, openapi) for name, schema in body.get("properties", {}).items()
        }
        if is_json
        else None,
        required=frozenset(named.union(body.get("required", ()))),
        content_types=() if is_json else tuple(content),
    )


def _parameter(declared: Document, openapi: Document) -> DeclaredParameter:
    style = declared.get("style", "form" if declared["in"] in {"query", "cookie"} else "simple")
    return DeclaredParameter(
        name=declared["name"],
        place=declared["in"],
        argument=declared.get("x-argument", declared["name"]),
        style=style,
        explode=declared.get("explode", style in {"form", "deepObject"}),
        schema=_resolved(declared.get("schema", {}), openapi),
    )


def _resolved(schema: Any, openapi: Document) -> Any:
    """What the schema refers to in the document, and itself where it refers to nothing there."""
    for _ in range(MAX_REFERENCES):
        given = (as_object(schema) or {}).get("$ref")
        if not isinstance(given, str) or not given.startswith("#/"):
            break
        schema = found_at(given[1:], openapi) or {}
    return schema
