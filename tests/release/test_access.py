"""Callers that are pods of the cluster, and persons who ask by kubectl."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
import yaml

from asynctestkit.calls import new_email
from asynctestkit.kubernetes_cluster import KubectlError
from asynctestkit.person import Person
from asynctestkit.release import IMAGE, Json, Release
from asynctestkit.shown_commands import blocks, scripts

ISSUER = "/.well-known/openid-configuration"
CALL = """
import json, sys, urllib.error, urllib.request
method, url, body = sys.argv[1:]
token = open("/var/run/asyncapiproxy/token").read()
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
request = urllib.request.Request(url, body.encode() or None, headers, method=method)
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


@pytest.fixture(scope="module")
def guarded(release: Release, values: Json) -> Iterator[Release]:
    """The release with an access file; afterwards as the other tests know it."""
    issuer = json.loads(release.kubectl("get", "--raw", ISSUER))["issuer"]
    shown, _ = blocks("docs/service-account-tokens.md", "yaml")
    access = yaml.safe_load(shown.replace("https://kubernetes.default.svc.cluster.local", issuer))
    allowed = [{"operations": ["create-client"], "users": ["ann"]}]
    rbac: Json = {"aggregateClusterRoles": True, "operationsPolicy": allowed}
    release.apply({**values, **access, "rbac": rbac})
    yield release
    release.apply(values)


@pytest.fixture(scope="module")
def pods(guarded: Release) -> Iterator[None]:
    """One of each of two service accounts, with a token for us."""
    kubectl = guarded.kubectl
    for name in ("caller", "another"):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        kubectl.apply(account, _pod(name))
    for name in ("caller", "another"):
        kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s", seconds=130)
    yield
    kubectl("delete", "pod,serviceaccount", "caller", "another", "--now", seconds=120)


def _pod(account: str) -> Json:
    """The document's, of an image that is there, as restricted Pod Security wants it."""
    _, shown = blocks("docs/service-account-tokens.md", "yaml")
    pod = yaml.safe_load(shown.replace("caller", account))
    pod["spec"]["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["spec"]["containers"]
    container["image"] = IMAGE
    container["imagePullPolicy"] = "Never"
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    return pod


def _call(
    release: Release, account: str, method: str, path: str, body: str = ""
) -> tuple[int, Json]:
    url = f"http://{release.full_name}-proxy{path}"
    said = release.kubectl("exec", account, "--", "python", "-c", CALL, method, url, body)
    status, _, text = said.partition(" ")
    return int(status), json.loads(text or "{}")


@pytest.mark.usefixtures("pods")
def test_a_pod_submits_and_reads_its_own_by_its_token_and_no_other_pod_learns_of_it(
    guarded: Release, somebody: Person
):
    (curl,) = scripts("docs/service-account-tokens.md", "")
    places = {
        "ann@example.com": new_email(),
        # Our image has no curl.
        "$(cat ": "$(kubectl exec caller -- cat ",
        "http://demo-asyncapiproxy-proxy.tasks": guarded.url,
    }
    assert json.loads(somebody.types(curl, places))["email"] == "ann@example.com"
    status, listed = _call(guarded, "caller", "GET", "/tasks?page_size=1")
    assert status == 200
    (task,) = listed["tasks"]
    assert task["principal"] == "system:serviceaccount:shop:caller"
    assert _call(guarded, "caller", "GET", f"/tasks/{task['id']}")[0] == 200
    foreign = _call(guarded, "another", "GET", f"/tasks/{task['id']}")
    unknown_id = str(uuid4())
    unknown = _call(guarded, "another", "GET", f"/tasks/{unknown_id}")
    assert foreign[0] == unknown[0] == 404
    told = json.dumps(foreign[1]).replace(task["id"], unknown_id)
    assert json.loads(told) == unknown[1]
    assert _call(guarded, "another", "GET", "/tasks")[1]["tasks"] == []


def test_whoever_shows_no_token_is_refused(guarded: Release):
    script = "import urllib.request; urllib.request.urlopen(%r)"
    url = f"http://{guarded.full_name}-proxy/tasks"
    with pytest.raises(KubectlError, match="401"):
        guarded.kubectl(
            "exec", f"deploy/{guarded.full_name}-proxy", "--", "python", "-c", script % url
        )


def test_a_person_asks_by_kubectl_for_what_the_policy_lets_them(guarded: Release):
    kubectl = guarded.kubectl
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "editors"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "edit",
        },
        "subjects": [{"kind": "User", "name": name} for name in ("ann", "bob")],
    }
    kubectl.apply(binding)
    task = {
        "apiVersion": "asyncapiproxy.dev/v1alpha1",
        "kind": "AsyncTask",
        "metadata": {"name": "asked-for"},
        "spec": {
            "operation": "create-client",
            "arguments": {"email": new_email(), "name": "Ann"},
        },
    }
    create = ("create", "--dry-run=server", "-f", "-")
    try:
        assert "created" in kubectl(*create, "--as=ann", given=json.dumps(task))
        with pytest.raises(KubectlError, match="may not ask for the operation create-client"):
            kubectl(*create, "--as=bob", given=json.dumps(task))
    finally:
        kubectl("delete", "rolebinding", "editors")
