"""What tests on a real Kubernetes stand on: one cluster for all, a namespace for each test.

Proxy, executor and operator run as processes on this machine, the operator with a kubeconfig; so
they use the servers of tests/conftest.py on loopback.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from asynctestkit.kubernetes_cluster import Kubectl, NoClusterError, cluster
from asynctestkit.processes import Installation, Keep, Service

StartOperator = Callable[..., Service]


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a cluster that has our CRDs. Without any: a failure in CI, elsewhere skipped."""
    try:
        with cluster(tmp_path_factory.mktemp("cluster")) as found:
            yield found
    except NoClusterError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def namespace(kubeconfig: Path) -> Iterator[str]:
    """An empty namespace for this test alone."""
    name = f"test-{uuid4().hex[:10]}"
    kubectl = Kubectl(kubeconfig)
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def kubectl(kubeconfig: Path, namespace: str) -> Kubectl:
    """The cluster's kubectl, in the test's namespace."""
    return Kubectl(kubeconfig, namespace)


@pytest.fixture
def installation(
    tmp_path: Path, postgresql_url: str, amqp_url: str, queue_prefix: str
) -> Installation:
    """Builds proxy, executor, demo API and operator over PostgreSQL and RabbitMQ."""
    return Installation(
        tmp_path / "installation",
        database_url=postgresql_url,
        broker_url=amqp_url,
        broker_prefix=queue_prefix,
    )


@pytest.fixture
def start_operator(
    installation: Installation,
    kubeconfig: Path,
    namespace: str,
    keep: Keep,
) -> StartOperator:
    """Starts an operator of the test's namespace; returns when it leads or stands by.

    It takes a `name`, where a test has several, and settings: `mirror_min_age_seconds=1`.
    """

    def start(name: str = "operator", **settings: object) -> Service:
        given: dict[str, Any] = {"kubeconfig": kubeconfig, "namespace": namespace} | settings
        return keep(installation.operator(name, **given)).start()

    return start
