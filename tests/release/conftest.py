"""The released image and chart on a real cluster: `./dev e2e`."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from asynctestkit.kubernetes_cluster import REPOSITORY, Kubectl, NoClusterError, cluster
from asynctestkit.missing import skip_for_want_of
from asynctestkit.person import Person, person
from asynctestkit.release import IMAGE, LOCAL_BASE, Json, Release, load, local_images
from asynctestkit.shown_commands import run, scripts

VALUES: Json = {
    "image": {"repository": IMAGE.partition(":")[0], "tag": IMAGE.partition(":")[2]},
    "demoApi": {"enabled": True},
    "settings": {"databaseConnections": 5},
    "proxy": {"service": {"type": "NodePort"}},
    "executor": {"concurrency": 20, "maxReplicas": 3, "scaleDownWindowSeconds": 10},
}
"""Small executors, so that a small burst needs several."""


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of this tree."""
    if shutil.which("docker") is None:
        skip_for_want_of("docker")
    build = scripts("docs/install.md", "To try it")[0].splitlines()[0]
    base = f"--build-arg BASE={LOCAL_BASE}" if local_images() else ""
    places = {"asyncapiproxy:0.1.0 . ": f"{IMAGE} {base} {REPOSITORY} "}
    # Without BuildKit's plug-in, which not every Docker has.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    run(build, tmp_path_factory.mktemp("build"), places=places, environment=environment)
    return IMAGE


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Path]:
    """Of a cluster of kind's that has the images."""
    try:
        with cluster(tmp_path_factory.mktemp("cluster")) as found:
            load(found, image, *local_images().values())
            yield found
    except NoClusterError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def values() -> Json:
    """What the release is installed with."""
    servers = {path.split(".")[0]: {"image": image} for path, image in local_images().items()}
    return {**VALUES, **servers}


@pytest.fixture(scope="session")
def namespace(kubeconfig: Path) -> str:
    """One that refuses, and warns of, what is not fit for restricted Pod Security."""
    kubectl = Kubectl(kubeconfig)
    if not kubectl.is_there("namespace", "shop"):
        kubectl("create", "namespace", "shop")
    kubectl(
        *("label", "namespace", "shop", "--overwrite"),
        "pod-security.kubernetes.io/enforce=restricted",
        "pod-security.kubernetes.io/warn=restricted",
    )
    return "shop"


@pytest.fixture(scope="session")
def somebody(kubeconfig: Path, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """A person whose kubectl and helm are in the namespace of the release."""
    return person(tmp_path_factory.mktemp("person"), kubeconfig, namespace=namespace)


@pytest.fixture(scope="session")
def release(kubeconfig: Path, namespace: str, values: Json, somebody: Person) -> Release:
    """The installed chart, ready. The tests of a file use it one after the other."""
    release = Release(kubeconfig, namespace=namespace)
    if release.name in release.helm("list", "--short").split():
        release.apply(values)
    else:
        (somebody.folder / "ours.yaml").write_text(json.dumps(values))
        install = scripts("docs/install.md", "To try it")[0].splitlines()[1]
        somebody.types(install, {"--wait": "--values ours.yaml --wait --timeout 8m"})
    return release
