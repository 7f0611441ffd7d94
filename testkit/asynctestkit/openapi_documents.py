"""Small OpenAPI documents, and what an operations file made of one says."""

from typing import Any

from asyncapiproxy.openapi_import.importing import Imported, imported
from asynctasks.declarations.yaml_lines import parse_yaml

SOURCE = "openapi.yaml"


def document(paths: dict[str, Any], *, version: str = "3.0.3", **more: Any) -> dict[str, Any]:
    """A document of these paths; `schemas` and the like are those of its components."""
    components = {
        key: more.pop(key) for key in ("schemas", "parameters", "securitySchemes") if key in more
    }
    return {
        "openapi": version,
        "info": {"title": "Billing", "version": "1"},
        "servers": [{"url": "https://billing.example.com/v1"}],
        "paths": paths,
        "components": components,
        **more,
    }


def posting(schema: Any, *, media_type: str = "application/json", **more: Any) -> dict[str, Any]:
    """The paths of `POST /invoices` with a body of the schema."""
    body = {"required": True, "content": {media_type: {"schema": schema}}}
    return {"/invoices": {"post": {"operationId": "createInvoice", "requestBody": body, **more}}}


def getting(*parameters: dict[str, Any], path: str = "/invoices", **more: Any) -> dict[str, Any]:
    """The paths of a GET with these parameters."""
    return {path: {"get": {"operationId": "getInvoice", "parameters": list(parameters), **more}}}


def declared(made: Imported) -> dict[str, Any]:
    """What stands below `operations` in the file."""
    return parse_yaml(made.text)[0]["operations"]


def only_operation(value: dict[str, Any], **given: Any) -> dict[str, Any]:
    """The one operation in the file made of a document."""
    (operation,) = declared(imported(value, source=SOURCE, **given)).values()
    return operation


def remarks(value: dict[str, Any], **given: Any) -> list[str]:
    """What is told of a document, one line each."""
    return list(map(str, imported(value, source=SOURCE, **given).remarks))
