"""What OpenAPI says of how callers prove who they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncproxy.access.authentication import API_KEY

if TYPE_CHECKING:
    from asyncproxy.access.authentication import Authentication

OPEN_TAG = "health"
"""What has this tag asks nobody who calls."""


def with_security(document: dict[str, Any], ways: Authentication) -> dict[str, Any]:
    """The document, in which each operation says what it wants to be shown."""
    schemes = _schemes(ways)
    security: list[dict[str, Any]] = [{name: []} for name in schemes]
    if ways.anonymous == "allow" or not schemes:
        security.append({})
    return {
        **document,
        "components": {**document["components"], "securitySchemes": schemes},
        "security": security,
        "paths": {path: _opened(item) for path, item in document["paths"].items()},
    }


def _schemes(ways: Authentication) -> dict[str, Any]:
    """Nothing of a trusted proxy's headers: callers do not send them."""
    schemes: dict[str, Any] = {}
    if ways.jwt or ways.api_keys:
        kind = {"bearerFormat": "JWT"} if ways.jwt else {}
        schemes["bearer"] = {"type": "http", "scheme": "bearer", **kind}
    if ways.api_keys:
        schemes["apiKey"] = {"type": "apiKey", "in": "header", "name": API_KEY}
    return schemes


def _opened(path_item: dict[str, Any]) -> dict[str, Any]:
    return {
        method: {**described, "security": []} if OPEN_TAG in described["tags"] else described
        for method, described in path_item.items()
    }
