"""A Deployment, its ReplicaSet and their pods in memory, by the methods of Kube that scaling asks.

The ReplicaSet removes pods in Kubernetes' own order: pending ones, those not ready, those of the
lowest deletion cost, then the youngest.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from asyncoperator.cluster.kube_errors import KubeConflictError, KubeGoneError
from asynctasks.instants import utc_now

Object = dict[str, Any]
Objects = list[Object]
COST = "controller.kubernetes.io/pod-deletion-cost"
REFUSED = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": 'pods "executor-4" is forbidden: exceeded quota: pods',
}


@dataclass
class FakePod:
    name: str
    ready: bool = True
    phase: str = "Running"
    age_seconds: float = 5.0
    annotations: dict[str, str] = field(default_factory=dict[str, str])

    def body(self) -> Object:
        created = utc_now() - timedelta(seconds=self.age_seconds)
        return {
            "metadata": {
                "name": self.name,
                "creationTimestamp": created.isoformat(),
                "annotations": self.annotations,
            },
            "status": {
                "phase": self.phase,
                "conditions": [{"type": "Ready", "status": str(self.ready)}],
            },
        }

    def rank(self) -> tuple[bool, bool, int, float]:
        cost = int(self.annotations.get(COST, "0"))
        return self.phase != "Pending", self.ready, cost, self.age_seconds


class FakeKube:
    """Kubernetes as one ExecutorPool and its Deployment `executor` see it."""

    namespace = "test"

    def __init__(self, *, replicas: int, **scaling: Any) -> None:
        self.generation = self.observed = 1
        self.replicas = replicas
        self.version: int = 1
        self.updated: int | None = None
        """Pods of the newest template; None for all."""
        self.has_deployment = True
        self.quota: int | None = None
        """How many pods there may be; None for any number."""
        self.acts = True
        """Whether the controllers act on a changed scale at once, or only when told to."""
        self.conflicts = 0
        """How many of the next scalings meet a Deployment that has changed."""
        self.pods_by_name: dict[str, FakePod] = {}
        self.removed: list[str] = []
        self.statuses: list[Object] = []
        self.events: list[str] = []
        self.neighbours: set[str] = set()
        """The installations that have a Lease in the namespace."""
        self.pools = [self._pool(scaling)]
        self._named = 0
        self.act()

    @staticmethod
    def _pool(scaling: Object) -> Object:
        return {
            "metadata": {"name": "clients", "uid": "pool-uid", "generation": 1},
            "spec": {
                "targetRef": {"name": "executor"},
                "queue": "clients",
                "concurrencyPerPod": 2,
                "scaling": {"scaleDownWindowSeconds": 0, **scaling},
            },
        }

    @property
    def status(self) -> Object:
        """What was written last."""
        return self.statuses[-1]

    def condition(self, kind: str) -> Object:
        (found,) = [one for one in self.status["conditions"] if one["type"] == kind]
        return found

    def act(self) -> None:
        """The controllers bring the pods to the scale."""
        self.observed = self.generation
        allowed = self.replicas if self.quota is None else min(self.replicas, self.quota)
        while len(self.pods_by_name) < allowed:
            self._named += 1
            pod = FakePod(f"executor-{self._named}")
            self.pods_by_name[pod.name] = pod
        surplus = len(self.pods_by_name) - self.replicas
        for pod in sorted(self.pods_by_name.values(), key=FakePod.rank)[: max(surplus, 0)]:
            self.removed.append(pod.name)
            del self.pods_by_name[pod.name]

    async def list(self, plural: str) -> Objects:
        return self.pools

    async def installations(self) -> set[str]:
        return self.neighbours

    async def get_deployment(self, name: str) -> Object:
        if not self.has_deployment:
            raise KubeGoneError
        here = len(self.pods_by_name)
        return {
            "metadata": {
                "name": name,
                "generation": self.generation,
                "resourceVersion": str(self.version),
            },
            "spec": {"replicas": self.replicas, "selector": {"matchLabels": {"app": "executor"}}},
            "status": {
                "observedGeneration": self.observed,
                "replicas": here,
                "updatedReplicas": here if self.updated is None else self.updated,
                "conditions": [REFUSED] if here < self.replicas else [],
            },
        }

    async def pods(self, selector: str) -> Objects:
        assert selector == "app=executor"
        return [pod.body() for pod in self.pods_by_name.values()]

    async def set_scale(self, deployment: str, replicas: int, *, resource_version: str) -> None:
        if self.conflicts:
            self.conflicts -= 1
            self.version += 1
        if resource_version != str(self.version):
            raise KubeConflictError
        self.version += 1
        self.generation += 1
        self.replicas = replicas
        if self.acts:
            self.act()

    async def annotate_pod(self, name: str, annotations: dict[str, str | None]) -> None:
        if name not in self.pods_by_name:
            raise KubeGoneError
        for key, value in annotations.items():
            if value is None:
                self.pods_by_name[name].annotations.pop(key, None)
            else:
                self.pods_by_name[name].annotations[key] = value

    async def apply_status(
        self, plural: str, name: str, status: Object, *, uid: str | None = None
    ) -> Object:
        self.statuses.append(status)
        return status

    async def post_event(self, involved: Object, *, reason: str, message: str, **_: str) -> None:
        self.events.append(f"{reason} {message}")
