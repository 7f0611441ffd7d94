"""Why executors are missing, in Kubernetes' own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STILL_STARTING = {"ContainerCreating", "PodInitializing"}


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What is in the way of an executor that was asked for."""

    reason: str
    """One word, such as FailedCreate or ImagePullBackOff."""
    message: str


def shortfall(deployment: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> Shortfall | None:
    """What keeps pods from being made (a quota), placed (full nodes) or started; None for nothing.

    The first that is found, since others mostly say the same.
    """
    for failed in _conditions(deployment, "ReplicaFailure", "True"):
        return _told(failed)
    for pod in pods:
        for unscheduled in _conditions(pod, "PodScheduled", "False"):
            return _told(unscheduled)
        for waiting in _waiting(pod):
            if waiting.get("reason") not in _STILL_STARTING:
                return _told(waiting)
    return None


def _conditions(body: Mapping[str, Any], kind: str, status: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body.get("status", {}).get("conditions", [])
    return [one for one in found if (one["type"], one["status"]) == (kind, status)]


def _waiting(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    containers: list[dict[str, Any]] = [
        *status.get("initContainerStatuses", ()),
        *status.get("containerStatuses", ()),
    ]
    return [one["state"]["waiting"] for one in containers if "waiting" in one.get("state", {})]


def _told(said: Mapping[str, Any]) -> Shortfall:
    return Shortfall(said.get("reason") or "ExecutorsNotReady", said.get("message") or "")
