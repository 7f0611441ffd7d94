"""A pool's Deployment and its pods, as they are at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from asyncoperator.scaling.shortfall import shortfall
from asynctasks.instants import utc_now

if TYPE_CHECKING:
    from asyncoperator.cluster.kube import Kube
    from asyncoperator.scaling.shortfall import Shortfall

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
"""A ReplicaSet removes the pods with the lowest first, after those that are not ready."""
START_SECONDS = 60.0
"""A pod that is not ready by then may be removed like one that has drained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod that is not being removed."""

    name: str
    is_ready: bool
    is_pending: bool
    age_seconds: float

    @property
    def is_starting(self) -> bool:
        """Whether it has not begun to run, and may well still do so."""
        return self.is_pending and self.age_seconds <= START_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The Deployment's scale with its pods, by name."""

    name: str
    resource_version: str
    replicas: int
    is_observed: bool
    """Whether Kubernetes has begun to act on it as it is."""
    is_rolling_out: bool
    pods: dict[str, Pod]
    shortfall: Shortfall | None = None

    @property
    def leaving(self) -> int:
        """How many pods are about to be removed, because it was scaled down."""
        return 0 if self.is_rolling_out else max(len(self.pods) - self.replicas, 0)

    @property
    def missing(self) -> int:
        """How many pods Kubernetes has not made, for want of a quota for example."""
        return 0 if self.is_rolling_out else max(self.replicas - len(self.pods), 0)

    @property
    def is_removing(self) -> bool:
        """Whether it may be that some pods are about to be removed."""
        return self.leaving > 0 or not self.is_observed

    @classmethod
    async def read(cls, kube: Kube, name: str) -> Self:
        """Raises KubeGoneError where there is none."""
        body = await kube.get_deployment(name)
        labels = body["spec"]["selector"].get("matchLabels", {})
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        status = body.get("status", {})
        bodies = [pod for pod in await kube.pods(selector) if _stays(pod)]
        pods = [_pod(pod) for pod in bodies]
        return cls(
            name=name,
            resource_version=body["metadata"]["resourceVersion"],
            replicas=body["spec"].get("replicas", 1),
            is_observed=status.get("observedGeneration", 0) >= body["metadata"]["generation"],
            is_rolling_out=status.get("updatedReplicas", 0) < status.get("replicas", 0),
            pods={pod.name: pod for pod in pods},
            shortfall=shortfall(body, bodies),
        )


def _stays(pod: dict[str, Any]) -> bool:
    is_over = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    return "deletionTimestamp" not in pod["metadata"] and not is_over


def _pod(body: dict[str, Any]) -> Pod:
    status = body.get("status", {})
    created = datetime.fromisoformat(body["metadata"]["creationTimestamp"])
    return Pod(
        name=body["metadata"]["name"],
        is_ready=any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in status.get("conditions", ())
        ),
        is_pending=status.get("phase", "Pending") == "Pending",
        age_seconds=(utc_now() - created).total_seconds(),
    )
