"""Why executors are missing, as the objects of Kubernetes tell it."""

from typing import Any

from asyncoperator.scaling.executorpool import ready
from asyncoperator.scaling.shortfall import Shortfall, shortfall

QUOTA = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": 'pods "a" is forbidden: exceeded quota: pods, requested: pods=1, limited: pods=3',
}
FULL = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient memory.",
}


def pod(*, condition: Any = None, **waiting: Any) -> Any:
    """A pod with that condition, whose containers wait: reasons and messages by what they are."""
    statuses: dict[str, Any] = {
        f"{kind}Statuses": [
            {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
            {"state": {"waiting": {"reason": reason, "message": f"{reason} it is"}}},
        ]
        for kind, reason in waiting.items()
    }
    return {"status": {**statuses, "conditions": [condition] if condition else []}}


def test_nothing_is_missing():
    assert shortfall({}, []) is None
    healthy = {**FULL, "status": "True"}
    assert shortfall({"status": {"conditions": []}}, [pod(condition=healthy)]) is None


def test_a_quota_is_told():
    found = shortfall({"status": {"conditions": [QUOTA]}}, [pod(condition=FULL)])
    assert found == Shortfall("FailedCreate", QUOTA["message"])
    over = {**QUOTA, "status": "False"}
    assert shortfall({"status": {"conditions": [over]}}, []) is None


def test_full_nodes_are_told():
    assert shortfall({}, [pod(), pod(condition=FULL)]) == Shortfall(
        "Unschedulable", FULL["message"]
    )


def test_what_keeps_a_container_from_running_is_told_and_that_it_only_starts_is_not():
    starting = pod(container="ContainerCreating", initContainer="PodInitializing")
    assert shortfall({}, [starting]) is None
    crashing = pod(container="CrashLoopBackOff")
    assert shortfall({}, [starting, crashing]) == Shortfall(
        "CrashLoopBackOff", "CrashLoopBackOff it is"
    )
    migrating = pod(initContainer="ImagePullBackOff", container="PodInitializing")
    found = shortfall({}, [migrating])
    assert found is not None
    assert found.reason == "ImagePullBackOff"


def test_it_is_passed_on_only_where_executors_are_missing():
    why = Shortfall("FailedCreate", "exceeded quota")
    finding = ready(replicas=5, ready_replicas=3, shortfall=why)
    assert (finding.holds, finding.reason) == (False, "FailedCreate")
    assert finding.message == "3 of 5 executors are ready. exceeded quota"
    finding = ready(replicas=3, ready_replicas=3, shortfall=why)
    assert (finding.holds, finding.message) == (True, "3 of 3 executors are ready.")
    finding = ready(replicas=3, ready_replicas=2, shortfall=None)
    assert (finding.reason, finding.message) == (
        "ExecutorsNotReady",
        "2 of 3 executors are ready.",
    )
