"""A person's AsyncTask: submitted once, refused with the reason, ended with its object."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.kubernetes_cluster import Kubectl, KubectlError, ours
from asynctestkit.processes import Installation, Keep, Service

StartOperator = Callable[..., Service]


@pytest.fixture
def demo(installation: Installation, keep: Keep) -> Service:
    """The demo API, with a proxy and an executor around it."""
    services = [installation.demo_api(), installation.proxy(), installation.executor()]
    for one in services:
        keep(one).launch()
    for one in services:
        one.wait_until_ready()
    return services[0]


def manifest(name: str, arguments: dict[str, Any], **spec: Any) -> dict[str, Any]:
    spec = {"operation": "create-client", "arguments": arguments, **spec}
    return ours("AsyncTask", name, spec)


def ann(words: str = "") -> dict[str, Any]:
    return {"email": f"ann{words}@example.com", "name": "Ann"}


def stats(demo: Service) -> dict[str, Any]:
    return httpx.get(f"{demo.url}/stats", trust_env=False, timeout=PATIENCE_SECONDS).json()


def status(kubectl: Kubectl, name: str) -> dict[str, Any]:
    return kubectl.get("asynctask", name).get("status", {})


def conditions(kubectl: Kubectl, name: str) -> dict[str, tuple[str, str, str]]:
    return {
        one["type"]: (one["status"], one["reason"], one["message"])
        for one in status(kubectl, name)["conditions"]
    }


async def runs(demo: Service, kubectl: Kubectl, name: str) -> None:
    def check() -> None:
        assert status(kubectl, name).get("taskStatus") == "Running"
        assert stats(demo)["in_flight"] == 1

    await eventually(check, timeout_seconds=15)


async def aborted(demo: Service, *, timeout_seconds: float = 5) -> None:
    def check() -> None:
        assert stats(demo)["disconnects"] == 1

    await eventually(check, timeout_seconds=timeout_seconds)


async def test_applied_twice_it_runs_once_and_can_be_awaited(
    demo: Service, start_operator: StartOperator, kubectl: Kubectl
):
    operator = start_operator()
    kubectl.apply(manifest("mine", ann(".slow+1")))
    kubectl.apply(manifest("mine", ann(".slow+1")))
    kubectl("wait", "--for=condition=Succeeded", "atask/mine", "--timeout=30s")
    kubectl.apply(manifest("mine", ann(".slow+1")))
    operator.stop()
    start_operator("again")
    kubectl.apply(manifest("another", {"email": "bob@example.com", "name": "Bob"}))
    kubectl("wait", "--for=condition=Succeeded", "atask/another", "--timeout=30s")
    assert stats(demo)["calls"] == 2
    assert conditions(kubectl, "mine")["Accepted"][:2] == ("True", "Submitted")


async def test_what_was_applied_without_an_operator_is_submitted_later(
    demo: Service, start_operator: StartOperator, kubectl: Kubectl
):
    kubectl.apply(manifest("early", ann()))
    start_operator()
    kubectl("wait", "--for=condition=Succeeded", "atask/early", "--timeout=30s")
    assert stats(demo)["calls"] == 1


async def test_faults_are_refused_with_the_schemas_reasons(
    demo: Service, start_operator: StartOperator, kubectl: Kubectl
):
    start_operator()
    kubectl.apply(manifest("faulty", {"email": "no", "name": ""}))
    kubectl.apply(manifest("secret", {**ann(), "password": "tell-nobody"}))
    unknown = manifest("unknown", {})
    unknown["spec"]["operation"] = "drop-client"
    kubectl.apply(unknown)
    for name in ("faulty", "secret", "unknown"):
        kubectl("wait", "--for=condition=Finished", f"atask/{name}", "--timeout=30s")
    said, reason, message = conditions(kubectl, "faulty")["Accepted"]
    assert (said, reason) == ("False", "ArgumentsInvalid")
    assert "/email: " in message
    assert "/name: " in message
    assert conditions(kubectl, "secret")["Accepted"][1] == "WriteOnlyArguments"
    assert "tell-nobody" not in str(status(kubectl, "secret"))
    assert conditions(kubectl, "unknown")["Accepted"][1] == "OperationUnknown"
    assert conditions(kubectl, "unknown")["Succeeded"][0] == "False"
    assert stats(demo)["calls"] == 0


async def test_its_deletion_ends_it(demo: Service, start_operator: StartOperator, kubectl: Kubectl):
    start_operator()
    kubectl.apply(manifest("mine", ann(".slow+29")))
    await runs(demo, kubectl, "mine")
    kubectl("delete", "atask", "mine")
    await aborted(demo)


async def test_a_cancel_request_ends_it_for_good(
    demo: Service, start_operator: StartOperator, kubectl: Kubectl
):
    start_operator()
    kubectl.apply(manifest("mine", ann(".slow+29")))
    await runs(demo, kubectl, "mine")
    kubectl.apply(manifest("mine", ann(".slow+29"), cancelRequested=True))
    await aborted(demo)
    kubectl("wait", "--for=condition=Finished", "atask/mine", "--timeout=10s")
    assert status(kubectl, "mine")["taskStatus"] == "Cancelled"
    with pytest.raises(KubectlError, match="cancelRequested cannot be taken back"):
        kubectl.apply(manifest("mine", ann(".slow+29")))


async def test_deleted_while_no_operator_looked_it_ends_when_one_does(
    demo: Service, start_operator: StartOperator, kubectl: Kubectl
):
    operator = start_operator()
    kubectl.apply(manifest("mine", ann(".slow+29")))
    await runs(demo, kubectl, "mine")
    operator.stop()
    kubectl("delete", "atask", "mine")
    assert stats(demo)["disconnects"] == 0
    start_operator("again")
    await aborted(demo, timeout_seconds=15)
