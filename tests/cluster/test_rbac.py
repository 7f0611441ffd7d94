"""The operator's Role: all it needs to work, and what it must not be able to do."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from asynctestkit.eventually import eventually
from asynctestkit.helm import helm_program, of_kind, render
from asynctestkit.kubernetes_cluster import REPOSITORY, Kubectl, KubectlError, ours
from asynctestkit.missing import skip_for_want_of
from asynctestkit.processes import Service

RULES = REPOSITORY / "charts/asyncapiproxy/files/operator-rules.yaml"
ACCOUNT = "operator"
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture
def account(kubectl: Kubectl) -> str:
    """A service account that has the Role in the test's namespace, by the name RBAC gives it."""
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "Role",
            "metadata": {"name": ACCOUNT},
            "rules": yaml.safe_load(RULES.read_text()),
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT}],
        },
    )
    return f"system:serviceaccount:{kubectl.namespace}:{ACCOUNT}"


@pytest.fixture
def its_kubeconfig(account: str, kubectl: Kubectl, tmp_path: Path) -> Path:
    """One that signs in as the service account, by a token of its own."""
    config: dict[str, Any] = yaml.safe_load(kubectl("config", "view", "--raw", "--minify"))
    token = kubectl("create", "token", ACCOUNT, "--duration=1h")
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    file = tmp_path / "of-the-account.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


async def test_the_operator_works_with_it(
    start_operator: Callable[..., Service],
    its_kubeconfig: Path,
    account: str,
    kubectl: Kubectl,
):
    kubectl.apply(_deployment(), _pool(), _task())
    operator = start_operator(kubeconfig=its_kubeconfig, operator_deployment="executor")

    def submitted() -> None:
        assert _conditions(kubectl, "asynctask/mine").get("Accepted") == "True", operator.log

    def scaled_up() -> None:
        # What was submitted waits: nobody runs it.
        assert kubectl.get("deployment", "executor")["spec"]["replicas"] == 1, operator.log
        assert _conditions(kubectl, "executorpool/clients"), operator.log

    def cancelled() -> None:
        assert kubectl.get("asynctask", "mine")["status"]["taskStatus"] == "Cancelled"
        events = kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
        assert "Cancelled" in events.split(), events

    await eventually(submitted, timeout_seconds=30)
    await eventually(scaled_up, timeout_seconds=30)
    kubectl("patch", "asynctask/mine", "--type=merge", "-p", '{"spec": {"cancelRequested": true}}')
    await eventually(cancelled, timeout_seconds=30)
    assert operator.is_running
    assert not operator.faults
    assert "forbidden" not in operator.log.lower()


@pytest.mark.parametrize(
    "what",
    [
        "get secrets",
        "list secrets",
        "get configmaps",
        "create pods",
        "create pods/exec",
        "delete pods",
        "update deployments.apps",
        "patch deployments.apps",
        "delete deployments.apps",
        "create deployments.apps",
        "list deployments.apps",
        "create serviceaccounts/token",
        "update asynctasks.asyncapiproxy.dev",
        "patch asynctasks.asyncapiproxy.dev",
        "deletecollection asynctasks.asyncapiproxy.dev",
        "create executorpools.asyncapiproxy.dev",
        "patch executorpools.asyncapiproxy.dev",
        "delete executorpools.asyncapiproxy.dev",
        "delete leases.coordination.k8s.io",
        "create roles.rbac.authorization.k8s.io",
        "update rolebindings.rbac.authorization.k8s.io",
        "delete namespaces",
        "list namespaces",
        "list nodes",
        "list customresourcedefinitions.apiextensions.k8s.io",
    ],
)
def test_it_may_not(account: str, kubectl: Kubectl, what: str):
    assert not _may(kubectl, account, *what.split())


@pytest.mark.parametrize(
    "what",
    [
        "list asynctasks.asyncapiproxy.dev",
        "create asynctasks.asyncapiproxy.dev",
        "patch asynctasks.asyncapiproxy.dev/status",
        "get pods",
        "patch pods",
        "update deployments.apps/scale",
        "update leases.coordination.k8s.io",
        "create events",
    ],
)
def test_what_it_may_here_it_may_not_elsewhere(account: str, kubectl: Kubectl, what: str):
    assert _may(kubectl, account, *what.split())
    for elsewhere in ("default", "kube-system"):
        assert not _may(kubectl.of(elsewhere), account, *what.split())


def test_it_is_refused_and_not_only_told_so(its_kubeconfig: Path, kubectl: Kubectl):
    as_account = Kubectl(its_kubeconfig, kubectl.namespace)
    assert as_account("get", "asynctasks") == ""
    with pytest.raises(KubectlError, match="forbidden"):
        as_account("get", "secrets")
    with pytest.raises(KubectlError, match="forbidden"):
        as_account.of("default")("get", "asynctasks")


def _may(kubectl: Kubectl, account: str, verb: str, resource: str) -> bool:
    resource, _, subresource = resource.partition("/")
    more = [f"--subresource={subresource}"] if subresource else []
    try:
        return kubectl("auth", "can-i", verb, resource, f"--as={account}", *more) == "yes\n"
    except KubectlError as error:  # a no is its exit status, too
        if str(error) and "is not namespace scoped" not in str(error):
            raise
        return False


def _conditions(kubectl: Kubectl, name: str) -> dict[str, str]:
    status = kubectl.get(name).get("status", {})
    return {each["type"]: each["status"] for each in status.get("conditions", [])}


def _task() -> dict[str, Any]:
    arguments = {"email": "slow+60@example.com", "name": "Ann"}
    spec = {"operation": "create-client", "arguments": arguments}
    return ours("AsyncTask", "mine", spec)


def _pool() -> dict[str, Any]:
    spec = {"targetRef": {"name": "executor"}, "queue": "clients", "scaling": {"minReplicas": 0}}
    return ours("ExecutorPool", "clients", spec)


def _deployment() -> dict[str, Any]:
    """Its pods never start, which is none of this test's matter."""
    labels = {"app": "executor"}
    container = {"name": "executor", "image": "none.invalid/none", "imagePullPolicy": "Never"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "executor"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture
def cluster_roles(kubectl: Kubectl) -> Iterator[None]:
    """Those of the chart, which view and edit take up."""
    if helm_program() is None:
        skip_for_want_of("helm")
    objects = render({"demoApi": {"enabled": True}, "rbac": {"aggregateClusterRoles": True}})
    roles = of_kind(objects, "ClusterRole")
    kubectl.apply(*roles.values())
    yield
    kubectl("delete", "clusterrole", *roles)


STATUS = "--subresource=status"


@pytest.mark.usefixtures("cluster_roles")
async def test_who_may_view_or_edit_the_namespace_may_do_so_with_our_objects(kubectl: Kubectl):
    for role in ("view", "edit"):
        kubectl.apply(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"{role}er"},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "User", "name": f"{role}er", "apiGroup": RBAC}],
            }
        )

    def may(role: str, verb: str, resource: str, *more: str) -> bool:
        try:
            said = kubectl("auth", "can-i", verb, resource, f"--as={role}er", *more)
        except KubectlError:
            return False  # it says no, and fails
        return said.strip() == "yes"

    def both_read() -> None:
        for role in ("view", "edit"):
            assert may(role, "list", "asynctasks.asyncapiproxy.dev"), role
            assert may(role, "get", "executorpools.asyncapiproxy.dev", STATUS), role

    await eventually(both_read, timeout_seconds=20)
    for resource in ("asynctasks.asyncapiproxy.dev", "executorpools.asyncapiproxy.dev"):
        for verb in ("create", "patch", "delete"):
            assert may("edit", verb, resource)
            assert not may("view", verb, resource)
        # Of that only the operator writes.
        assert not may("edit", "patch", resource, STATUS)
    assert not may("nobody-view", "list", "asynctasks.asyncapiproxy.dev")
