"""The operator as a process: its probes, its signals, what it says when it cannot work."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.kubernetes_cluster import Kubectl, KubectlError, ours
from asynctestkit.process import ProcessStartError
from asynctestkit.processes import Installation, Keep, Service, has_logged

StartOperator = Callable[..., Service]


def get(operator: Service, path: str) -> httpx.Response:
    return httpx.get(operator.url + path, trust_env=False, timeout=PATIENCE_SECONDS)


async def leading(operator: Service) -> None:
    def check() -> None:
        assert has_logged(event="operator leads")(operator), operator.log

    await eventually(check)


async def test_probes_and_metrics_of_a_leader_and_of_one_that_stands_by(
    start_operator: StartOperator,
):
    first = start_operator("first")
    await leading(first)
    second = start_operator("second")

    def healthy() -> None:
        for operator in (first, second):
            assert get(operator, "/healthz").text == "ok"
            assert get(operator, "/readyz").text == "ok"

    await eventually(healthy)
    assert "asyncapiproxy_operator_leading 1.0" in get(first, "/metrics").text
    assert "asyncapiproxy_operator_leading 0.0" in get(second, "/metrics").text


async def test_it_stops_within_seconds_and_in_good_order(
    start_operator: StartOperator, kubectl: Kubectl
):
    operator = start_operator()
    await leading(operator)
    for name in ("listed", "watched"):
        kubectl.apply(_task(name))
        await eventually(partial(_is_submitted, kubectl, name), timeout_seconds=20)
    began = time.monotonic()
    assert operator.stop() == 0
    assert time.monotonic() - began < 5
    assert not operator.faults
    assert "operator has stopped" in operator.log


async def test_without_its_role_it_is_not_ready_and_says_why(
    installation: Installation, namespace: str, kubectl: Kubectl, keep: Keep, tmp_path: Path
):
    kubectl("create", "serviceaccount", "nobody")
    config: dict[str, Any] = yaml.safe_load(kubectl("config", "view", "--raw", "--minify"))
    token = kubectl("create", "token", "nobody")
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    kubeconfig = tmp_path / "of-nobody.yaml"
    kubeconfig.write_text(yaml.safe_dump(config))
    operator = keep(installation.operator(kubeconfig=kubeconfig, namespace=namespace)).launch()

    def not_ready() -> None:
        try:
            answer = get(operator, "/readyz")
        except httpx.TransportError as error:
            raise AssertionError(operator.log) from error
        assert answer.status_code == 503
        assert "cannot get resource" in answer.text

    await eventually(not_ready, timeout_seconds=30)
    assert operator.is_running


async def test_it_stops_while_it_stands_by(start_operator: StartOperator):
    first = start_operator("first")
    await leading(first)
    second = start_operator("second")
    assert second.stop() == 0
    assert first.is_running


def test_a_database_that_was_not_migrated_is_named(
    installation: Installation,
    kubeconfig: Path,
    namespace: str,
    keep: Keep,
    tmp_path: Path,
):
    operator = keep(
        installation.operator(
            kubeconfig=kubeconfig,
            namespace=namespace,
            database_url=f"sqlite:///{tmp_path / 'empty.db'}",
        )
    )
    with pytest.raises(ProcessStartError, match="asyncapiproxy migrate"):
        operator.start()
    assert operator.wait() == 1


def test_a_kubeconfig_that_is_not_there_is_named(
    installation: Installation, namespace: str, keep: Keep, tmp_path: Path
):
    operator = keep(installation.operator(kubeconfig=tmp_path / "none", namespace=namespace))
    with pytest.raises(ProcessStartError, match="No way to sign in to Kubernetes"):
        operator.start()
    assert operator.wait() == 2


def test_a_deployment_that_is_not_there_is_named(
    installation: Installation, kubeconfig: Path, namespace: str, keep: Keep
):
    given: dict[str, Any] = {"kubeconfig": kubeconfig, "namespace": namespace}
    operator = keep(installation.operator(operator_deployment="none", **given)).launch()
    assert operator.wait() == 2
    assert 'ASYNCAPIPROXY_OPERATOR_DEPLOYMENT: deployments.apps "none" not found' in operator.log


@pytest.mark.timeout(300)
async def test_it_recovers_when_the_api_server_is_killed(
    start_operator: StartOperator, kubectl: Kubectl, kill_api_server: Callable[[], None]
):
    """As kubelet does, the test starts an operator again that has ended: its Lease was lost."""
    operator = start_operator()
    await leading(operator)
    kubectl.apply(_task("before"))
    kill_api_server()

    def serves_again() -> None:
        if not operator.is_running:
            assert operator.wait() == 1
            operator.launch()
        try:
            kubectl.apply(_task("after"))
            for name in ("before", "after"):
                assert kubectl.get("asynctask", name)["status"]["taskId"]
        except (KubectlError, KeyError) as error:
            raise AssertionError(f"{error!r}\n{operator.log}") from error

    await eventually(serves_again, timeout_seconds=150)


@pytest.fixture
def kill_api_server(kubectl: Kubectl) -> Iterator[Callable[[], None]]:
    """Kills that of a kind cluster; waits afterwards until the cluster serves the next test."""
    context = kubectl("config", "current-context").strip()
    docker = shutil.which("docker")
    if not context.startswith("kind-") or docker is None:
        pytest.skip(f"{context} is no kind cluster of this machine, whose API server can be killed")
    node = f"{context.removeprefix('kind-')}-control-plane"

    def kill() -> None:
        subprocess.run(
            [docker, "exec", node, "sh", "-c", "kill -9 $(pidof kube-apiserver)"], check=True
        )

    yield kill
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(KubectlError):
            if kubectl("get", "--raw", "/readyz") == "ok":
                return
        time.sleep(0.2)


def _is_submitted(kubectl: Kubectl, name: str) -> None:
    assert "taskId" in kubectl.get("asynctask", name).get("status", {})


def _task(name: str) -> dict[str, Any]:
    arguments = {"email": "ann@example.com", "name": "Ann"}
    return ours("AsyncTask", name, {"operation": "create-client", "arguments": arguments})
