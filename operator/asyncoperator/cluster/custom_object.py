"""What AsyncTask and ExecutorPool have in common: their group, their JSON, their conditions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from asynctasks.json_values import as_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

GROUP = "asyncapiproxy.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
OPERATOR = "asyncapiproxy-operator"
"""Who made an object, or posted an Event."""
INSTALLATION = f"{GROUP}/installation"
"""The label that says whose an object is."""

Object = dict[str, Any]
Truth = Literal["True", "False", "Unknown"]


def installation_of(body: Mapping[str, Any]) -> str | None:
    """Whose an object says that it is: what an operator took is its, whatever was asked for."""
    spec, status = as_object(body.get("spec")) or {}, as_object(body.get("status")) or {}
    labels = as_object(body["metadata"].get("labels")) or {}
    return status.get("installation") or spec.get("installation") or labels.get(INSTALLATION)


class Part(BaseModel):
    """A part of an object: camelCase there, and what is None is left out."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    def to_json(self) -> Object:
        """As the API server takes it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Condition(Part):
    """One statement about an object, as Kubernetes means it."""

    type: str
    status: Truth
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A condition without its times."""

    type: str
    holds: bool | None
    """None while that is open."""
    reason: str
    message: str

    @property
    def status(self) -> Truth:
        """As Kubernetes writes it."""
        if self.holds is None:
            return "Unknown"
        return "True" if self.holds else "False"


def conditions(
    findings: Iterable[Finding],
    since: Mapping[tuple[str, str], str],
    *,
    generation: int,
    now: datetime,
) -> list[Condition]:
    """The findings as conditions; one whose status stays keeps the time of its last change.

    `since` has those times by type and status.
    """
    stamp = timestamp(now)
    return [
        Condition(
            type=finding.type,
            status=finding.status,
            reason=finding.reason,
            message=finding.message,
            last_transition_time=since.get((finding.type, finding.status), stamp),
            observed_generation=generation,
        )
        for finding in findings
    ]


def timestamp(moment: datetime) -> str:
    """As Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
