"""Whose a task is: two installations in one namespace, forged objects, and definitions that go."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.helm import NAMESPACE, of_kind, render
from asynctestkit.kubernetes_cluster import CRDS, Kubectl, KubectlError, ours
from asynctestkit.processes import Installation, Keep, Service, has_logged

StartOperator = Callable[..., Service]
MANY = 300
SUBMITTED_SECONDS = 5
CANCEL_SECONDS = 2


def person(name: str, words: str = "", **spec: Any) -> dict[str, Any]:
    arguments = {"email": f"{name}{words}@example.com", "name": "Ann"}
    return ours("AsyncTask", name, {"operation": "create-client", "arguments": arguments, **spec})


@pytest.fixture
def bakery(
    installation: Installation, kubeconfig: Path, namespace: str, sqlite_url: str, keep: Keep
) -> Service:
    """The operator of another installation, with a database of its own."""
    return keep(
        installation.operator(
            "bakery",
            kubeconfig=kubeconfig,
            namespace=namespace,
            database_url=sqlite_url,
            installation="bakery",
            mirror_resync_seconds=1,
        )
    )


@pytest.fixture
def runs(installation: Installation, keep: Keep) -> Service:
    """The proxy, with an executor and the demo API behind it."""
    services = [installation.proxy(), installation.executor(), installation.demo_api()]
    for one in services:
        keep(one).launch()
    for one in services:
        one.wait_until_ready()
    return services[0]


def status(kubectl: Kubectl, name: str) -> dict[str, Any]:
    return kubectl.get("asynctask", name)["status"]


def reasons(kubectl: Kubectl, name: str) -> dict[str, str]:
    return {one["type"]: one["reason"] for one in status(kubectl, name)["conditions"]}


async def shows(kubectl: Kubectl, name: str, task_status: str) -> None:
    def check() -> None:
        assert status(kubectl, name).get("taskStatus") == task_status

    await eventually(check, timeout_seconds=30)


async def answered(kubectl: Kubectl, name: str) -> str:
    """The reason of the operator's first word on whether it takes the object."""

    def check() -> str:
        reason = reasons(kubectl, name)["Accepted"]
        assert reason != "Pending"
        return reason

    return await eventually(check, timeout_seconds=10)


async def cannot_tell_whose(kubectl: Kubectl) -> None:
    """Until an operator reads anew who else is there, it takes an object for its own."""
    names = (f"whose-{number}" for number in count())

    async def check() -> None:
        name = next(names)
        kubectl.apply(person(name))
        assert await answered(kubectl, name) == "InstallationAmbiguous"

    await eventually(check, timeout_seconds=30)


async def logs(operator: Service, **line: str) -> None:
    def check() -> None:
        assert has_logged(**line)(operator), operator.log

    await eventually(check, timeout_seconds=20)


def submission_seconds(operator: Service) -> list[float]:
    """Of each object that asked for a task, from its creation to the task's commit."""
    lines = [json.loads(line) for line in operator.log.splitlines()]
    return [
        datetime.fromisoformat(line["timestamp"]).timestamp()
        - (UUID(line["task_id"]).int >> 80) / 1000
        for line in lines
        if line["event"] == "submitted by an object"
    ]


async def test_another_installation_cancels_and_deletes_nothing_of_ours(
    runs: Service, start_operator: StartOperator, bakery: Service, kubectl: Kubectl
):
    ours_ = start_operator(mirror_min_age_seconds=0)
    kubectl.apply(person("mine", ".slow+12"))
    await shows(kubectl, "mine", "Running")
    bakery.start()
    await logs(bakery, event="operator leads")
    kubectl.apply(person("theirs", installation="bakery"))

    def taken() -> None:
        assert status(kubectl, "theirs")["installation"] == "bakery"

    await eventually(taken, timeout_seconds=20)
    await cannot_tell_whose(kubectl)
    await shows(kubectl, "mine", "Succeeded")
    assert status(kubectl, "mine")["installation"] == "asyncapiproxy"
    kubectl("delete", "asynctask", "theirs")

    def cancelled() -> None:
        assert '"cancelled' in bakery.log  # as its watch or its resync is the quicker

    await eventually(cancelled, timeout_seconds=20)
    assert '"cancelled' not in ours_.log
    assert not ours_.faults
    assert not bakery.faults


@pytest.fixture
def definitions(kubectl: Kubectl) -> Iterator[None]:
    """Makes them anew for the next test."""
    yield
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")


@pytest.mark.usefixtures("definitions")
async def test_the_end_of_the_definitions_cancels_nothing(
    runs: Service, start_operator: StartOperator, kubectl: Kubectl
):
    operator = start_operator(mirror_min_age_seconds=0)
    kubectl.apply(*(person(f"p{number}", ".slow+20") for number in range(20)))
    for number in (0, 19):
        await shows(kubectl, f"p{number}", "Running")
    kubectl("delete", "-f", str(CRDS))

    def ended() -> None:
        assert not operator.is_running, operator.log

    await eventually(ended, timeout_seconds=30)  # nothing to watch any more
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")
    operator.launch()

    def finished() -> None:
        answer = httpx.get(
            f"{runs.url}/tasks", params={"limit": 100}, trust_env=False, timeout=PATIENCE_SECONDS
        ).json()
        assert [one["status"] for one in answer["tasks"]] == ["succeeded"] * 20

    await eventually(finished, timeout_seconds=60)
    assert '"cancelled' not in operator.log


def submitted(proxy: Service, local_part: str) -> str:
    """The id of a task that was asked for by HTTP."""
    answer = httpx.post(
        f"{proxy.url}/clients",
        json={"email": f"{local_part}@example.com", "name": "Ann"},
        headers={"Prefer": "respond-async"},
        trust_env=False,
        timeout=PATIENCE_SECONDS,
    )
    return answer.json()["id"]


@pytest.fixture
def creator(kubectl: Kubectl) -> str:
    """Somebody who may create AsyncTasks, and nothing else."""
    name, rule = "creator", "--resource=asynctasks.asyncapiproxy.dev"
    kubectl("create", "role", name, "--verb=create", rule)
    kubectl("create", "rolebinding", name, f"--role={name}", f"--user={name}")
    return name


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {
            "app.kubernetes.io/managed-by": "asyncapiproxy-operator",
            "asyncapiproxy.dev/installation": "asyncapiproxy",
        },
    ],
    ids=["bare", "labelled"],
)
async def test_who_may_only_create_ends_nobody_elses_task(
    runs: Service,
    start_operator: StartOperator,
    kubectl: Kubectl,
    creator: str,
    labels: dict[str, str],
):
    """Not even without the policy, and where they are quicker than the mirror."""
    operator = start_operator(mirror_min_age_seconds=4)
    await logs(operator, event="operator leads")
    task_id = submitted(runs, "ann.slow+12")
    spec = {"operation": "create-client", "taskId": task_id, "cancelRequested": True}
    forged = ours("AsyncTask", f"t-{task_id}", spec)
    forged["metadata"]["labels"] = labels
    kubectl("create", f"--as={creator}", "-f", "-", given=json.dumps(forged))

    def succeeded() -> None:
        shown = httpx.get(
            f"{runs.url}/tasks/{task_id}", trust_env=False, timeout=PATIENCE_SECONDS
        ).json()
        assert shown["status"] == "succeeded"

    await eventually(succeeded, timeout_seconds=30)
    assert '"cancelled' not in operator.log
    assert not operator.faults
    if labels:
        await shows(kubectl, f"t-{task_id}", "Succeeded")  # in an object of the mirror's own
    else:
        assert reasons(kubectl, f"t-{task_id}")["Accepted"] == "TaskIdGiven"


@pytest.fixture
def policy(kubectl: Kubectl) -> Iterator[None]:
    """The chart's, for the test's namespace."""
    objects = render({"demoApi": {"enabled": True}})
    found = [
        one
        for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
        for one in of_kind(objects, kind).values()
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": found})
    text = text.replace(f'"{NAMESPACE}"', f'"{kubectl.namespace}"')
    text = text.replace(f":{NAMESPACE}:", f":{kubectl.namespace}:")
    kubectl("apply", "-f", "-", given=text)
    yield
    kubectl("delete", "-f", "-", given=text)


def refusal(kubectl: Kubectl, manifest: dict[str, Any]) -> str:
    """What an API server says that does not take it; it is not made either way."""
    try:
        kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(manifest))
    except KubectlError as error:
        return str(error)
    return ""


@pytest.mark.usefixtures("policy")
async def test_the_policy_keeps_people_from_what_is_the_operators(kubectl: Kubectl):
    task_id = "01a20d31-d3a4-76ba-b9b9-5230a7b10230"
    claiming = ours("AsyncTask", f"t-{task_id}", {"operation": "create-client", "taskId": task_id})

    def in_force() -> None:
        said = refusal(kubectl, claiming)
        assert "only the operator makes an object with spec.taskId" in said

    await eventually(in_force, timeout_seconds=20)
    kubectl.apply(person("mine"))
    with pytest.raises(KubectlError, match="arguments cannot be changed"):
        kubectl(
            *("patch", "asynctask", "mine", "--type=json", "-p"),
            '[{"op": "replace", "path": "/spec/arguments", "value": {"a": 1, "b": 2}}]',
        )
    with pytest.raises(KubectlError, match="only the operator writes the status"):
        kubectl(
            *("patch", "asynctask", "mine", "--subresource=status", "--type=merge", "-p"),
            '{"status": {"installation": "demo-asyncapiproxy", "taskStatus": "Failed"}}',
        )
    with pytest.raises(KubectlError, match="cannot be changed"):
        kubectl("label", "asynctask", "mine", "asyncapiproxy.dev/installation=demo-asyncapiproxy")
    kubectl("patch", "asynctask", "mine", "--type=merge", "-p", '{"spec":{"cancelRequested":true}}')


async def test_many_are_submitted_in_seconds_and_a_cancel_is_not_held_up(
    runs: Service, start_operator: StartOperator, kubectl: Kubectl
):
    operator = start_operator()
    await logs(operator, event="operator leads")
    kubectl.apply(person("long", ".slow+60"))
    await shows(kubectl, "long", "Running")
    items = [person(f"p{number}") for number in range(MANY)]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    kubectl("create", "-f", "-", given=text, seconds=240)
    assert reasons(kubectl, f"p{MANY - 1}")

    def submitted() -> list[float]:
        found = submission_seconds(operator)
        assert len(found) >= MANY + 1
        return found

    assert max(await eventually(submitted, timeout_seconds=60)) < SUBMITTED_SECONDS
    # Their shows and their deletions are 600 changes, which come back as events.
    kubectl("delete", "asynctasks", "--field-selector=metadata.name!=long", "--wait=false")
    began = time.monotonic()
    kubectl("patch", "asynctask", "long", "--type=merge", "-p", '{"spec":{"cancelRequested":true}}')

    def cancelled() -> None:
        assert has_logged(event="cancelled", reason="its object asks for it")(operator)

    await eventually(cancelled, timeout_seconds=60)
    assert time.monotonic() - began < CANCEL_SECONDS + 1  # and kubectl's own


async def test_what_has_finished_can_be_selected(
    runs: Service, start_operator: StartOperator, kubectl: Kubectl
):
    start_operator()
    kubectl.apply(person("quick"), person("long", ".slow+60"))
    await shows(kubectl, "quick", "Succeeded")
    await shows(kubectl, "long", "Running")
    kubectl("delete", "asynctasks", "--field-selector=status.finished=true")
    assert kubectl("get", "asynctasks", "-o", "name").split() == [
        "asynctask.asyncapiproxy.dev/long"
    ]
