"""The services' settings as values of the chart, from the services' own classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel
from value_types import Json, part

if TYPE_CHECKING:
    from pydantic import BaseModel

DECIDED_BY_THE_CHART = frozenset(
    {
        *("database_url", "broker_url", "operations_file", "sealing_keys", "host", "port"),
        *("health_port", "pod_name", "concurrency", "drain_seconds", "linger_seconds"),
        *("namespace", "operator_deployment", "kubeconfig", "installation", "public_url", "blobs"),
        *("callback_allow", "callback_networks", "callback_keys"),
    }
)
"""Settings that have a value of their own, or none."""


def settings(description: str, *models: type[BaseModel], without: type[BaseModel] | None) -> Json:
    """The settings of these classes by their names in camelCase."""
    properties: Json = {}
    for model in models:
        schema = model.model_json_schema(by_alias=False)
        for name, field in schema["properties"].items():
            if name in DECIDED_BY_THE_CHART or (without and name in without.model_fields):
                continue
            resolved = _resolved(field, schema)
            properties[to_camel(name)] = {
                key: _limit(key, value)
                for key, value in resolved.items()
                if key not in {"default", "title", "description", "format", "writeOnly"}
            }
    return part(description, **dict(sorted(properties.items())))


def _limit(key: str, value: Any) -> Any:
    """draft-07 has the limits as numbers, as pydantic has them."""
    return int(value) if key.endswith(("imum", "Minimum")) and value == int(value) else value


def _resolved(field: Json, schema: Json) -> Json:
    if "$ref" in field:
        return schema["$defs"][field["$ref"].rpartition("/")[2]]
    if "anyOf" in field:
        return {"anyOf": [_resolved(option, schema) for option in field["anyOf"]]}
    return field
