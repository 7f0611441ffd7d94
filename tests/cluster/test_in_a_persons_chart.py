"""An AsyncTask in somebody's own chart, by Helm 4: what `--wait` waits for, and the recipe."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from asynctestkit.kubernetes_cluster import Kubectl, ours, program
from asynctestkit.person import person
from asynctestkit.processes import Installation, Keep, Service
from asynctestkit.release import CommandError, run
from asynctestkit.shown_commands import blocks, scripts

StartOperator = Callable[..., Service]
Helm = Callable[..., str]


@pytest.fixture
def runs(installation: Installation, keep: Keep, start_operator: StartOperator) -> None:
    """A proxy, an executor, an operator, and the demo API behind them."""
    services = [installation.demo_api(), installation.proxy(), installation.executor()]
    for one in services:
        keep(one).launch()
    for one in services:
        one.wait_until_ready()
    start_operator()


@pytest.fixture
def helm(kubectl: Kubectl) -> Helm:
    """Helm's own arguments; what it printed."""

    def call(*arguments: str) -> str:
        where = ("--kubeconfig", str(kubectl.kubeconfig), "--namespace", kubectl.namespace)
        return run(program("helm"), *where, *arguments, seconds=90)

    return call


def chart(folder: Path, local_part: str) -> str:
    """The path of a chart that has one AsyncTask, `report`."""
    return chart_of(folder, ours("AsyncTask", "report", report(local_part)))


def chart_of(folder: Path, task: dict[str, Any]) -> str:
    (folder / "templates").mkdir(exist_ok=True, parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: reports, version: 1.0.0}")
    (folder / "templates/task.yaml").write_text(yaml.safe_dump(task))
    return str(folder)


def report(local_part: str) -> dict[str, Any]:
    arguments = {"email": f"{local_part}@example.com", "name": "Ann"}
    return {"operation": "create-client", "arguments": arguments}


def task_status(kubectl: Kubectl) -> str:
    return kubectl.get("asynctask", "report")["status"].get("taskStatus", "none yet")


@pytest.mark.usefixtures("runs")
def test_helm_waits_until_the_task_has_succeeded(helm: Helm, kubectl: Kubectl, tmp_path: Path):
    helm("install", "reports", chart(tmp_path, "ann.slow+6"), "--wait", "--timeout", "60s")
    assert task_status(kubectl) == "Succeeded"
    kubectl("patch", "asynctask/report", "--type=merge", "-p", '{"spec":{"cancelRequested":true}}')
    helm("upgrade", "reports", str(tmp_path), "--wait", "--timeout", "30s")


@pytest.mark.usefixtures("runs")
def test_helm_fails_with_a_task_that_fails(helm: Helm, kubectl: Kubectl, tmp_path: Path):
    with pytest.raises(CommandError):
        helm("install", "reports", chart(tmp_path, "ann.fail+422"), "--wait", "--timeout", "15s")
    assert task_status(kubectl) == "Failed"


def test_helm_waits_for_an_object_that_no_operator_has_seen(helm: Helm, tmp_path: Path):
    began = time.monotonic()
    with pytest.raises(CommandError):
        helm("install", "reports", chart(tmp_path, "ann"), "--wait", "--timeout", "5s")
    assert time.monotonic() - began >= 5


@pytest.mark.usefixtures("runs")
def test_a_hook_runs_anew_with_each_revision_and_can_be_awaited(
    helm: Helm, kubectl: Kubectl, tmp_path: Path
):
    _, hook, _ = blocks("docs/asynctasks.md", "yaml")
    (release_it,) = scripts("docs/asynctasks.md", "In your own chart")
    somebody = person(tmp_path, kubectl.kubeconfig, namespace=kubectl.namespace)
    uids: set[str] = set()
    for local_part in ("ann.slow+3", "bob.slow+3"):
        task = {**yaml.safe_load(hook), "spec": report(local_part)}
        chart_of(tmp_path / "reports", task)
        assert somebody.types(release_it).endswith("Succeeded")
        uids.add(kubectl.get("asynctask", "report")["metadata"]["uid"])
    assert len(uids) == 2
    helm("uninstall", "reports")
    assert task_status(kubectl) == "Succeeded"
