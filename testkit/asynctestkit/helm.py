"""The chart as Helm renders it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from asynctestkit.fake_cluster import fake_cluster

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/asyncapiproxy"
RELEASE, NAMESPACE = "demo", "shop"
OLDEST_KUBERNETES = "1.31.0"

Json = dict[str, Any]


class HelmError(RuntimeError):
    """Helm refused; the text is what it said."""


def programs() -> Path:
    """Where `./dev` puts programs that the machine lacks."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "kindnode/bin"


def helm_program() -> str | None:
    """Helm's program, on the PATH or where the local cluster's tools are built."""
    return shutil.which("helm") or shutil.which("helm", path=programs())


def helm(*arguments: str, values: Json | None = None) -> str:
    """What it prints; raises HelmError."""
    program = helm_program()
    assert program is not None, "helm is not installed"
    done = subprocess.run(
        [program, *arguments, *(["--values", "-"] if values is not None else [])],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise HelmError(done.stderr)
    return done.stdout


def render(values: Json, *, live: list[Json] | None = None) -> list[Json]:
    """The objects that `helm install` would make, tests included; raises HelmError.

    With `live`, those that `helm upgrade` would where the cluster has these objects.
    """
    arguments = ("template", RELEASE, str(CHART), "--namespace", NAMESPACE)
    # A Helm that was built by hand may believe in an old Kubernetes.
    objects = _parsed(helm(*arguments, "--kube-version", OLDEST_KUBERNETES, values=values))
    if live is None:
        return objects
    kinds = {(each["apiVersion"], each["kind"]) for each in objects}
    with fake_cluster(live, kinds=kinds) as kubeconfig:
        asking = ("--dry-run=server", "--is-upgrade", "--disable-openapi-validation")
        return _parsed(helm(*arguments, *asking, "--kubeconfig", str(kubeconfig), values=values))


def _parsed(text: str) -> list[Json]:
    # By libyaml it takes a tenth of the time, which is most of a test's.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, loader) if document]


def of_kind(objects: list[Json], kind: str) -> dict[str, Json]:
    """The objects of that kind by name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def one(objects: list[Json], kind: str, component: str) -> Json:
    """The one object of that kind and component."""
    (found,) = (
        each
        for each in of_kind(objects, kind).values()
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == component
    )
    return found


def pods(objects: list[Json]) -> dict[str, Json]:
    """The specification of each pod by the object that makes it."""
    found: dict[str, Json] = {}
    for each in objects:
        if each["kind"] in {"Deployment", "StatefulSet"}:
            found[f"{each['kind']}/{each['metadata']['name']}"] = each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            found[f"Pod/{each['metadata']['name']}"] = each["spec"]
    return found


def containers(pod: Json) -> list[Json]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def environment(container: Json) -> Json:
    """The container's variables: their text, or where it comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
