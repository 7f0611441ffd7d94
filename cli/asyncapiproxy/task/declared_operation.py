"""What a caller knows of an operation: its route and its arguments, from the proxy's OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, Any]

_TAG = "operations"


class PathArgumentMissingError(AsyncApiProxyError):
    """An argument that stands in the operation's path is missing."""


@dataclass(frozen=True, slots=True)
class DeclaredOperation:
    """An operation as the proxy's OpenAPI document declares it."""

    name: str
    summary: str
    method: str
    path: str
    schemas: dict[str, Any]
    """The schema of each argument, those in the path included."""
    in_path: tuple[str, ...]

    def request(self, arguments: Document) -> tuple[str, Document]:
        """The path and the body of a call with these arguments."""
        path = self.path
        for name in self.in_path:
            if name not in arguments:
                raise PathArgumentMissingError(
                    f"{self.name} is called at {self.path}: give {name}=…"
                )
            path = path.replace(f"{{{name}}}", quote(_in_path(arguments[name]), safe=""))
        return path, {name: arguments[name] for name in arguments if name not in self.in_path}


def declared_operations(openapi: Document) -> dict[str, DeclaredOperation]:
    """The operations in an OpenAPI document of a proxy, by name."""
    return {operation.name: operation for operation in _operations(openapi)}


def _operations(openapi: Document) -> Iterator[DeclaredOperation]:
    paths: dict[str, dict[str, Document]] = openapi.get("paths", {})
    for path, calls in paths.items():
        for method, call in calls.items():
            if _TAG in call.get("tags", ()):
                yield _operation(path, method, call)


def _operation(path: str, method: str, call: Document) -> DeclaredOperation:
    in_path: Document = {
        parameter["name"]: parameter.get("schema", {})
        for parameter in call.get("parameters", ())
        if parameter["in"] == "path"
    }
    content: Document = call.get("requestBody", {}).get("content", {})
    body: Document = content.get("application/json", {}).get("schema", {})
    return DeclaredOperation(
        name=call["operationId"],
        summary=call.get("summary", ""),
        method=method.upper(),
        path=path,
        schemas={**body.get("properties", {}), **in_path},
        in_path=tuple(in_path),
    )


def _in_path(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower()
