"""`kubectl asyncapiproxy`, by the kubectl of a person who may reach the release's pods."""

import os
import subprocess
from pathlib import Path

from asynctestkit.calls import new_email
from asynctestkit.eventually import eventually
from asynctestkit.kubernetes_cluster import Kubectl, program
from asynctestkit.person import Person
from asynctestkit.processes import COMMAND
from asynctestkit.release import Release
from asynctestkit.shown_commands import ID, scripts


def asked(*words: str, release: Release, kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    """As kubectl itself finds the plugin and starts it."""
    kubectl = program("kubectl")
    folders = (str(COMMAND.parent), str(Path(kubectl).parent), os.environ["PATH"])
    return subprocess.run(
        [kubectl, "asyncapiproxy", "-n", release.kubectl.namespace, *words],
        env={"PATH": os.pathsep.join(folders), "KUBECONFIG": str(kubeconfig), "HOME": "/"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_task_is_submitted_and_found_through_the_release(
    release: Release, kubeconfig: Path, somebody: Person
):
    _, submit = scripts("docs/install.md", "To try it")
    printed = somebody.types(submit, {"ann@example.com": new_email()})
    assert "status     ● succeeded" in printed
    (task_id,) = set(ID.findall(printed.partition("response")[0]))
    words = ("task", "get", task_id, "-o", "name", "--release", release.name)
    got = asked(*words, release=release, kubeconfig=kubeconfig)
    assert (got.returncode, got.stdout.strip()) == (0, task_id)


def test_it_is_told_which_namespace_context_and_release(release: Release, somebody: Person):
    (script,) = scripts("docs/command.md", "In a cluster")
    assert "● succeeded" in somebody.types(script, {"ann@example.com": new_email()})


def test_a_release_that_is_not_there_is_told(release: Release, kubeconfig: Path):
    done = asked("task", "list", "--release", "none", release=release, kubeconfig=kubeconfig)
    assert done.returncode == 2
    assert f"No proxy of the release none is in the namespace {release.kubectl.namespace}" in (
        done.stderr
    )


def test_who_may_not_reach_pods_is_told_what_it_takes(
    release: Release, kubeconfig: Path, tmp_path: Path
):
    kubectl = release.kubectl
    account = f"--serviceaccount={kubectl.namespace}:reader"
    kubectl("create", "serviceaccount", "reader")
    try:
        kubectl("create", "role", "reader", "--verb=get,list", "--resource=services,pods")
        kubectl("create", "rolebinding", "reader", "--role=reader", account)
        token = kubectl("create", "token", "reader").strip()
        only_reads = tmp_path / "kubeconfig"
        only_reads.write_text(kubeconfig.read_text())
        config = Kubectl(only_reads)
        config("config", "set-credentials", "reader", f"--token={token}")
        config("config", "set-context", "--current", "--user=reader")
        done = asked("task", "list", release=release, kubeconfig=only_reads)
        assert done.returncode == 2
        assert "create pods/portforward" in done.stderr
    finally:
        kubectl("delete", "rolebinding,role,serviceaccount", "reader", "--ignore-not-found")


async def test_a_release_without_a_ready_pod_is_told_with_how_its_pods_are(
    release: Release, kubeconfig: Path
):
    deployment = f"deployment/{release.full_name}-proxy"
    replicas = release.kubectl.get(deployment)["spec"]["replicas"]
    try:
        release.kubectl("scale", deployment, "--replicas=0")

        def told() -> None:
            done = asked("task", "list", release=release, kubeconfig=kubeconfig)
            assert done.returncode == 2
            assert done.stderr.endswith("has no proxy's pod that is ready. It has none.\n")

        await eventually(told, timeout_seconds=90)
    finally:
        release.kubectl("scale", deployment, f"--replicas={replicas}")
        release.kubectl("rollout", "status", deployment, "--timeout=120s", seconds=130)
