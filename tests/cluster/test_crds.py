"""What a real API server makes of our CustomResourceDefinitions."""

import re
from typing import Any

import pytest
import yaml

from asynctestkit.kubernetes_cluster import CRDS, Kubectl, KubectlError, ours

TASK_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
SUBMITTED: dict[str, Any] = {
    "operation": "create-client",
    "queue": "clients",
    "arguments": {"name": "Ann", "tags": ["a", {"b": 1}]},
    "labels": {"team": "shop"},
    "deadlineSeconds": 60,
    "delaySeconds": 5,
    "priority": 7,
    "callback": "https://erp.example.com/hooks/tasks",
}
NO_ARGUMENTS: dict[str, Any] = {"arguments": {}}
MIRRORED: dict[str, Any] = {"operation": "create-client", "queue": "clients", "taskId": TASK_ID}
POOL: dict[str, Any] = {"targetRef": {"name": "executor"}, "queue": "clients"}


def asynctask(spec: dict[str, Any], name: str = "mine") -> dict[str, Any]:
    return ours("AsyncTask", name, spec)


def pool(spec: dict[str, Any], name: str = "clients") -> dict[str, Any]:
    return ours("ExecutorPool", name, spec)


@pytest.mark.parametrize("plural", ["asynctasks", "executorpools"])
def test_every_field_is_explained(kubectl: Kubectl, plural: str):
    """tests/unit/test_crd_drift.py holds the deeper ones to the same, without a call for each."""
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    fields = [
        f"{part}.{name}" for part in ("spec", "status") for name in schema[part]["properties"]
    ]
    assert len(fields) > 10
    for path in [plural, *(f"{plural}.{field}" for field in fields)]:
        assert re.search(r"DESCRIPTION:\n\s+\w", kubectl("explain", path)), path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"operation": "other"}, "operation cannot be changed"),
        ({"queue": "other"}, "queue cannot be changed"),
        ({"queue": None}, "queue cannot be changed"),
        ({"arguments": {"name": "Bob", "tags": []}}, "arguments cannot be changed"),
        ({"arguments": {"name": "Ann", "tags": ["a", {"b": 2}]}}, "arguments cannot be changed"),
        ({"arguments": {"tags": None}}, "arguments cannot be changed"),
        ({"arguments": {"more": 1}}, "arguments cannot be changed"),
        ({"arguments": None}, "arguments cannot be changed"),
        ({"labels": {"team": "other"}}, "labels cannot be changed"),
        ({"labels": None}, "labels cannot be changed"),
        ({"deadlineSeconds": 61}, "deadlineSeconds cannot be changed"),
        ({"delaySeconds": None}, "delaySeconds cannot be changed"),
        ({"priority": 6}, "priority cannot be changed"),
        ({"priority": None}, "priority cannot be changed"),
        ({"callback": "https://erp.example.com/hooks"}, "callback cannot be changed"),
        ({"callback": None}, "callback cannot be changed"),
        ({"taskId": TASK_ID, "arguments": None}, "taskId cannot be changed"),
    ],
)
def test_what_was_submitted_cannot_be_changed(kubectl: Kubectl, changed: dict[str, Any], said: str):
    kubectl.apply(asynctask(SUBMITTED))
    with pytest.raises(KubectlError, match=said):
        _patch(kubectl, "asynctask/mine", changed)


def test_what_was_left_out_cannot_be_added(kubectl: Kubectl):
    kubectl.apply(asynctask({"operation": "create-client"}))
    for name in SUBMITTED.keys() - {"operation", "queue"}:
        with pytest.raises(KubectlError, match=f"{name} cannot be changed"):
            _patch(kubectl, "asynctask/mine", {name: SUBMITTED[name]})


def test_a_cancel_cannot_be_taken_back(kubectl: Kubectl):
    kubectl.apply(asynctask(SUBMITTED))
    _patch(kubectl, "asynctask/mine", {"cancelRequested": False})
    _patch(kubectl, "asynctask/mine", {"cancelRequested": True})
    for value in (False, None):
        with pytest.raises(KubectlError, match="cancelRequested cannot be taken back"):
            _patch(kubectl, "asynctask/mine", {"cancelRequested": value})


def test_a_cancel_can_be_asked_for_where_nothing_was_said_of_it(kubectl: Kubectl):
    kubectl.apply(asynctask(SUBMITTED))
    _patch(kubectl, "asynctask/mine", {"cancelRequested": True, "ttlSecondsAfterFinished": 5})


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("mine", MIRRORED, "an object with spec.taskId is named t-<taskId>"),
        (f"t-{TASK_ID}", MIRRORED | NO_ARGUMENTS, "arguments go without taskId"),
        ("mine", NO_ARGUMENTS, 'missing required field "operation"'),
        ("mine", {"operation": "Create"}, "spec.operation"),
        ("mine", {"operation": "a" * 64}, "Too long"),
        ("mine", SUBMITTED | {"labels": {f"l{n}": "" for n in range(21)}}, "Too many"),
        ("mine", SUBMITTED | {"labels": {"a": "x" * 64}}, "Too long"),
        ("mine", SUBMITTED | {"labels": {"a=b,c": ""}}, "a label's name is made of"),
        ("mine", SUBMITTED | {"labels": {"-a": ""}}, "a label's name is made of"),
        ("mine", SUBMITTED | {"labels": {"": ""}}, "a label's name is made of"),
        ("mine", SUBMITTED | {"labels": {"a" * 64: ""}}, "a label's name is made of"),
        ("mine", SUBMITTED | {"labels": {"a": "b c"}}, "spec.labels.a"),
        ("mine", SUBMITTED | {"labels": {"a": "b/c"}}, "spec.labels.a"),
        ("mine", SUBMITTED | {"delaySeconds": 60}, "deadlineSeconds must be more than"),
        ("mine", SUBMITTED | {"delaySeconds": 61}, "deadlineSeconds must be more than"),
        ("mine", SUBMITTED | {"deadlineSeconds": 0}, "greater than or equal to 1"),
        ("mine", SUBMITTED | {"priority": 10}, "less than or equal to 9"),
        ("mine", SUBMITTED | {"priority": -1}, "greater than or equal to 0"),
        ("mine", SUBMITTED | {"callback": ""}, "spec.callback"),
        ("mine", SUBMITTED | {"callback": "https://a/" + "b" * 2_039}, "Too long"),
        ("t-1", {"operation": "o", "taskId": "1"}, "spec.taskId"),
    ],
)
def test_an_object_that_makes_no_sense_is_refused(
    kubectl: Kubectl, name: str, spec: dict[str, Any], said: str
):
    with pytest.raises(KubectlError, match=re.escape(said)):
        kubectl.apply(asynctask(spec, name))


@pytest.mark.parametrize(
    "wishes",
    [
        {"labels": {"example.com/team": "", "a" * 63: "x" * 63}},
        {"labels": {f"l{n:02}" + "x" * 60: "x" * 63 for n in range(20)}},
        {"delaySeconds": 59},
        {"priority": 0},
        {"callback": "erp"},
        {"callback": "https://a/" + "b" * 2_038},
    ],
)
def test_what_a_proxy_grants_is_accepted(kubectl: Kubectl, wishes: dict[str, Any]):
    kubectl.apply(asynctask(SUBMITTED | wishes))


def test_the_same_manifest_may_be_applied_again(kubectl: Kubectl):
    kubectl.apply(asynctask(SUBMITTED))
    assert "unchanged" in kubectl.apply(asynctask(SUBMITTED))


def test_an_object_of_the_mirror_is_accepted(kubectl: Kubectl):
    kubectl.apply(asynctask(MIRRORED, f"t-{TASK_ID}"))


def test_a_misspelt_field_is_refused_by_kubectl(kubectl: Kubectl):
    with pytest.raises(KubectlError, match='unknown field "prority"'):
        kubectl.apply(asynctask(SUBMITTED | {"prority": 1}))


def test_columns_of_asynctasks(kubectl: Kubectl):
    kubectl.apply(asynctask(SUBMITTED))
    status = {
        "taskStatus": "Failed",
        "taskId": TASK_ID,
        "attempt": 3,
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-02T00:00:00Z",
        "conditions": [
            {
                "type": "Succeeded",
                "status": "False",
                "reason": "UpstreamAnswered503",
                "message": "",
                "lastTransitionTime": "2026-01-02T00:00:00Z",
            }
        ],
    }
    _patch(kubectl, "asynctask/mine", status, subresource="status")
    head, row = _table(kubectl("get", "atasks"))
    assert head == ["NAME", "OPERATION", "STATUS", "ATTEMPT", "STARTED", "FINISHED", "AGE"]
    assert row[:4] == ["mine", "create-client", "UpstreamAnswered503", "3"]
    head, row = _table(kubectl("get", "asyncapiproxy", "-o", "wide"))
    assert {"QUEUE", "TASK ID"} <= set(head)
    assert {"clients", TASK_ID} <= set(row)


def test_columns_and_defaults_of_executorpools(kubectl: Kubectl):
    kubectl.apply(pool(POOL))
    status = {"queued": 7, "running": 3, "replicas": 2, "desiredReplicas": 4, "drainSeconds": 9}
    _patch(kubectl, "executorpool/clients", status, subresource="status")
    head, row = _table(kubectl("get", "expool"))
    assert head == [
        *("NAME", "QUEUE", "QUEUED", "RUNNING", "REPLICAS", "DESIRED", "DRAIN", "READY", "AGE")
    ]
    assert row[1:7] == ["clients", "7", "3", "2", "4", "9"]
    assert kubectl.get("expool", "clients")["spec"]["scaling"] == {
        "mode": "Operator",
        "minReplicas": 1,
        "maxReplicas": 10,
        "targetDrainSeconds": 10,
        "targetUtilizationPercent": 80,
        "scaleDownWindowSeconds": 60,
        "scaleToZeroAfterSeconds": 0,
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"queue": "other"}, "queue cannot be changed"),
        ({"targetRef": {"name": "other"}}, "targetRef cannot be changed"),
        ({"scaling": {"minReplicas": 11}}, "minReplicas cannot be above maxReplicas"),
        ({"scaling": {"mode": "Keda"}}, "Unsupported value"),
        ({"scaling": {"maxReplicas": 0}}, "greater than or equal to 1"),
    ],
)
def test_a_change_of_a_pool_that_makes_no_sense_is_refused(
    kubectl: Kubectl, changed: dict[str, Any], said: str
):
    kubectl.apply(pool(POOL))
    with pytest.raises(KubectlError, match=re.escape(said)):
        _patch(kubectl, "expool/clients", changed)


def test_objects_are_found_by_their_fields(kubectl: Kubectl):
    kubectl.apply(asynctask(SUBMITTED), asynctask({"operation": "other"}, "another"))
    _patch(kubectl, "asynctask/mine", {"taskStatus": "Running"}, subresource="status")
    for selector in ("spec.operation=create-client", "status.taskStatus=Running"):
        found = kubectl("get", "asynctasks", "--field-selector", selector, "-o", "name")
        assert found.split() == ["asynctask.asyncapiproxy.dev/mine"]


def _patch(kubectl: Kubectl, name: str, changed: dict[str, Any], *, subresource: str = "") -> None:
    body = yaml.safe_dump({subresource or "spec": changed})
    more = [f"--subresource={subresource}"] if subresource else []
    kubectl("patch", name, "--type=merge", "-p", body, *more)


def _table(text: str) -> tuple[list[str], list[str]]:
    """The heads and the values of the only row."""
    head, row = text.strip().splitlines()
    return re.split(r"\s{2,}", head.strip()), re.split(r"\s{2,}", row.strip())
