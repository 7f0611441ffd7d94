"""Tasks as people see them by kubectl, and what ends with the objects and what does not."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.kubernetes_cluster import Kubectl
from asynctestkit.processes import Installation, Keep, Service

SEEN_SECONDS = 5
StartOperator = Callable[..., Service]


class Shop:
    """Proxy, executor and demo API, without an operator."""

    def __init__(self, installation: Installation, keep: Keep) -> None:
        services = [installation.demo_api(), installation.proxy(), installation.executor()]
        self.demo, self.proxy, _ = [keep(one).launch() for one in services]
        for one in services:
            one.wait_until_ready()

    def submit(self, local_part: str) -> str:
        """A task that nobody waits for; its id."""
        answer = httpx.post(
            f"{self.proxy.url}/clients",
            json={"email": f"{local_part}@example.com", "name": "Ann"},
            headers={"Prefer": "respond-async"},
            trust_env=False,
            timeout=PATIENCE_SECONDS,
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def task(self, task_id: str) -> dict[str, Any]:
        return httpx.get(
            f"{self.proxy.url}/tasks/{task_id}", trust_env=False, timeout=PATIENCE_SECONDS
        ).json()

    def stats(self) -> dict[str, Any]:
        return httpx.get(f"{self.demo.url}/stats", trust_env=False, timeout=PATIENCE_SECONDS).json()

    async def has_status(self, task_id: str, status: str, *, timeout_seconds: float = 10) -> None:
        def check() -> None:
            assert self.task(task_id)["status"] == status

        await eventually(check, timeout_seconds=timeout_seconds)


@pytest.fixture
def shop(installation: Installation, keep: Keep) -> Shop:
    return Shop(installation, keep)


async def shows(
    kubectl: Kubectl, name: str, status: str, *, timeout_seconds: float = 10
) -> dict[str, Any]:
    """The object once it shows the status."""

    def check() -> dict[str, Any]:
        assert kubectl.is_there("asynctask", name), kubectl("get", "asynctasks")
        found = kubectl.get("asynctask", name)
        assert found.get("status", {}).get("taskStatus") == status, found
        return found

    return await eventually(check, timeout_seconds=timeout_seconds)


async def gone(kubectl: Kubectl, name: str, *, timeout_seconds: float = 10) -> None:
    def check() -> None:
        assert not kubectl.is_there("asynctask", name)

    await eventually(check, timeout_seconds=timeout_seconds)


async def test_a_slow_task_is_seen_awaited_and_gone_after_its_time(
    shop: Shop, start_operator: StartOperator, kubectl: Kubectl
):
    operator = start_operator(mirror_ttl_succeeded_seconds=3, public_url="https://shop.example")
    began = time.monotonic()
    task_id = shop.submit("ann.slow+9")
    found = await shows(kubectl, f"t-{task_id}", "Running", timeout_seconds=8)
    assert time.monotonic() - began < SEEN_SECONDS + 1  # and the poll that sees it
    assert found["spec"] == {
        "taskId": task_id,
        "operation": "create-client",
        "queue": "clients",
    }
    header, line = kubectl("get", "atask").splitlines()
    assert header.split()[:4] == ["NAME", "OPERATION", "STATUS", "ATTEMPT"]
    assert line.split()[:4] == [f"t-{task_id}", "create-client", "Running", "1"]
    kubectl("wait", "--for=condition=Succeeded", f"atask/t-{task_id}", "--timeout=30s")
    ended = kubectl.get("asynctask", f"t-{task_id}")["status"]
    assert ended["responseStatus"] == 201
    assert ended["responseURL"] == f"https://shop.example/tasks/{task_id}/response"
    await gone(kubectl, f"t-{task_id}")
    assert shop.task(task_id)["status"] == "succeeded"
    assert operator.faults == []


async def test_a_quick_success_has_no_object_and_a_failure_has_one_and_an_event(
    shop: Shop, start_operator: StartOperator, kubectl: Kubectl
):
    start_operator()
    quick, failed = shop.submit("ann"), shop.submit("bob.fail+422")
    status = (await shows(kubectl, f"t-{failed}", "Failed"))["status"]
    assert status["message"] == "The upstream answered 422."
    assert not kubectl.is_there("asynctask", f"t-{quick}")

    def told() -> None:
        events = kubectl.get("events")["items"]
        assert [(one["reason"], one["involvedObject"]["name"]) for one in events] == [
            ("Failed", f"t-{failed}")
        ]

    await eventually(told)


async def test_deleting_the_object_of_a_running_task_aborts_its_upstream_call(
    shop: Shop, start_operator: StartOperator, kubectl: Kubectl
):
    start_operator(mirror_min_age_seconds=0)
    task_id = shop.submit("ann.slow+29")
    await shows(kubectl, f"t-{task_id}", "Running")
    assert shop.stats()["disconnects"] == 0
    kubectl("delete", "asynctask", f"t-{task_id}")
    began = time.monotonic()

    def aborted() -> None:
        assert shop.stats()["disconnects"] == 1

    await eventually(aborted, timeout_seconds=5)
    await shop.has_status(task_id, "cancelled")
    assert time.monotonic() - began < SEEN_SECONDS
    assert kubectl.get("asynctasks")["items"] == []


async def test_a_cancel_that_is_asked_for_in_the_object_is_shown_there(
    shop: Shop, start_operator: StartOperator, kubectl: Kubectl
):
    start_operator(mirror_min_age_seconds=0)
    task_id = shop.submit("ann.slow+29")
    name = f"t-{task_id}"
    await shows(kubectl, name, "Running")
    kubectl("patch", "atask", name, "--type=merge", "-p", '{"spec": {"cancelRequested": true}}')
    await shows(kubectl, name, "Cancelled")
    kubectl("wait", "--for=condition=Finished", f"atask/{name}", "--timeout=5s")
    assert shop.task(task_id)["status"] == "cancelled"


OWNER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "operator"},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "operator"}},
        "template": {
            "metadata": {"labels": {"app": "operator"}},
            "spec": {"containers": [{"name": "operator", "image": "none"}]},
        },
    },
}


async def test_a_cascade_from_the_owner_cancels_nothing(
    shop: Shop, start_operator: StartOperator, kubectl: Kubectl
):
    kubectl.apply(OWNER)
    start_operator(mirror_min_age_seconds=0, operator_deployment="operator")
    task_id = shop.submit("ann.slow+12")
    await shows(kubectl, f"t-{task_id}", "Running")
    kubectl("delete", "deployment", "operator")
    await gone(kubectl, f"t-{task_id}", timeout_seconds=30)
    await shop.has_status(task_id, "succeeded", timeout_seconds=30)
    assert shop.stats()["disconnects"] == 0


async def test_the_end_of_the_namespace_cancels_nothing(
    shop: Shop, start_operator: StartOperator, kubectl: Kubectl, namespace: str
):
    start_operator(mirror_min_age_seconds=0)
    task_id = shop.submit("ann.slow+12")
    await shows(kubectl, f"t-{task_id}", "Running")
    kubectl("delete", "namespace", namespace, "--wait=false")
    await gone(kubectl, f"t-{task_id}", timeout_seconds=30)
    await shop.has_status(task_id, "succeeded", timeout_seconds=30)
    assert shop.stats()["disconnects"] == 0


async def test_an_object_that_went_unseen_is_made_again_and_its_task_lives(
    shop: Shop, start_operator: StartOperator, kubectl: Kubectl, tmp_path: Path
):
    operator = start_operator(mirror_min_age_seconds=0)
    task_id = shop.submit("ann.slow+25")
    before = await shows(kubectl, f"t-{task_id}", "Running")
    operator.stop()
    kubectl("delete", "asynctask", f"t-{task_id}")
    start_operator("again", mirror_min_age_seconds=0)
    after = await shows(kubectl, f"t-{task_id}", "Running", timeout_seconds=20)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert shop.stats()["disconnects"] == 0
