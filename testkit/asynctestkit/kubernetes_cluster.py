"""A real Kubernetes for tests: a given one, else a kind cluster of our own."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
KIND_SCRIPTS = REPOSITORY.parent / "shared" / "kind"
"""Bring up kind where no image can be pulled; where they are not, `kind` itself does."""
CACHED_PROGRAMS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kindnode/bin"
CRDS = REPOSITORY / "charts/asyncapiproxy/crds"
PUBLISH_SECONDS = 60
POLL_SECONDS = 0.2
START_SECONDS = 900
"""A machine without the node image builds it first."""


class KubectlError(RuntimeError):
    """kubectl failed; the text is what it said."""


class NoClusterError(RuntimeError):
    """There is no cluster for tests, and no way to make one; the text says what would be."""


@dataclass(frozen=True)
class Kubectl:
    """The kubectl of one cluster, in one namespace. Call it with kubectl's own arguments."""

    kubeconfig: Path
    namespace: str = "default"

    def __call__(self, *arguments: str, given: str | None = None, seconds: float = 60) -> str:
        """What it printed; `given` is its standard input. Raises KubectlError."""
        done = subprocess.run(
            [program("kubectl"), "--namespace", self.namespace, *arguments],
            env={"PATH": os.environ["PATH"], "KUBECONFIG": str(self.kubeconfig), "HOME": "/"},
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise KubectlError(done.stderr.strip())
        return done.stdout

    def apply(self, *manifests: Mapping[str, Any]) -> str:
        """`kubectl apply` of these."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        return self("apply", "-f", "-", given=json.dumps(items))

    def get(self, *what: str) -> dict[str, Any]:
        """`kubectl get … -o json`."""
        return json.loads(self("get", *what, "-o", "json"))

    def is_there(self, *what: str) -> bool:
        """Whether `kubectl get` finds it."""
        return bool(self("get", *what, "--ignore-not-found", "-o", "name"))

    def of(self, namespace: str) -> "Kubectl":
        """The same in another namespace."""
        return Kubectl(self.kubeconfig, namespace)


def ours(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of an object of our group."""
    return {
        "apiVersion": "asyncapiproxy.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


@contextmanager
def cluster(folder: Path) -> Generator[Path]:
    """The kubeconfig of a cluster that has our CRDs; one that is made here is taken down.

    Raises NoClusterError.
    """
    given = os.environ.get("TEST_KUBECONFIG")
    with _given(Path(given)) if given else _made(folder / "kubeconfig") as kubeconfig:
        kubectl = Kubectl(kubeconfig)
        kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
        kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")
        _wait_until_explained(kubectl)
        yield kubeconfig


def _wait_until_explained(kubectl: Kubectl) -> None:
    """The API server publishes the fields for kubectl seconds after it serves them."""
    deadline = time.monotonic() + PUBLISH_SECONDS
    while True:
        try:
            for plural in ("asynctasks", "executorpools"):
                kubectl("explain", plural)
        except KubectlError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def program(name: str) -> str:
    """The path of kubectl, kind or helm."""
    found = shutil.which(name, path=f"{CACHED_PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        raise NoClusterError(f"`{name}` is not on this machine")
    return found


@contextmanager
def _given(kubeconfig: Path) -> Generator[Path]:
    yield kubeconfig


@contextmanager
def _made(kubeconfig: Path) -> Generator[Path]:
    name = f"asyncapiproxy-test-{os.getpid()}"
    image = os.environ.get("KIND_NODE_IMAGE")
    if image:
        start = [
            *(program("kind"), "create", "cluster", "--name", name, "--image", image),
            *("--kubeconfig", str(kubeconfig), "--wait", "180s"),
        ]
        stop = [program("kind"), "delete", "cluster", "--name", name]
    elif (KIND_SCRIPTS / "up").exists():
        start = [str(KIND_SCRIPTS / "up"), "-n", name, str(kubeconfig)]
        stop = [str(KIND_SCRIPTS / "down"), "-n", name]
    else:
        raise NoClusterError(
            "no Kubernetes: TEST_KUBECONFIG names the kubeconfig of one for tests, "
            "or KIND_NODE_IMAGE the node image of one that kind makes"
        )
    try:
        _run(start)
        _refuse_dead_pods(kubeconfig)
        yield kubeconfig
    finally:
        with suppress(NoClusterError):
            _run(stop)


def _refuse_dead_pods(kubeconfig: Path) -> None:
    """Let the node refuse what is sent to an address of a pod that is gone.

    Until kube-proxy has heard of a pod's end, a Service leads to it. kind's node has a route for
    each pod, and would send the rest to the network that it is in: whoever answers there for any
    address would have a caller's kept connection for as long as they like.
    """
    (node,) = Kubectl(kubeconfig).get("nodes")["items"]
    pods = node["spec"]["podCIDR"]
    name = node["metadata"]["name"]
    _run(["docker", "exec", name, "ip", "route", "replace", "unreachable", pods])


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=START_SECONDS, check=False
    )
    if done.returncode:
        raise NoClusterError(f"{command} failed:\n{done.stdout}{done.stderr}")
