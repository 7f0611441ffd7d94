"""Executors as real pods, scaled by an operator in the cluster: up at once, down without a loss."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from asynctestkit.eventually import eventually
from asynctestkit.kubernetes_cluster import program
from asynctestkit.release import IMAGE, Json, Release, build_image, load, local_images

MAX = 5
POLL_SECONDS = 0.5
CONCURRENCY = 10
COST = "controller.kubernetes.io/pod-deletion-cost"
OPERATIONS: Json = {
    "create-client": {
        "route": "POST /clients",
        "queue": "clients",
        "arguments": {
            "type": "object",
            "required": ["email", "name"],
            "properties": {"email": {"type": "string"}, "name": {"type": "string"}},
        },
        "upstream": {
            "method": "POST",
            "url": "{CUSTOMER_API_URL}/clients",
            "timeoutSeconds": 300,
        },
    }
}
SMALL: Json = {"requests": {"cpu": "20m", "memory": "96Mi"}}

pytestmark = pytest.mark.timeout(600)


class Shop:
    """The installed chart, as its callers and its demo API see it."""

    def __init__(self, release: Release) -> None:
        self.kubectl = release.kubectl
        self.deployment = f"{release.full_name}-executor-clients"
        self._release = release
        self._url = release.url

    def submit(self, *local_parts: str) -> list[str]:
        """Tasks that nobody waits for; their ids."""
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(self._submit, local_parts))

    def _submit(self, local_part: str) -> str:
        answer = httpx.post(
            f"{self._url}/clients",
            json={"email": f"{local_part}.{uuid4().hex[:8]}@example.com", "name": "Ann"},
            headers={"Prefer": "respond-async"},
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def unfinished(self) -> int:
        return int(
            self._release.sql("SELECT count(*) FROM tasks WHERE status IN ('queued', 'running')")
        )

    def attempts(self) -> list[str]:
        """Status and number of attempts of all tasks, each once."""
        rows = self._release.sql("SELECT DISTINCT status, attempt, interruptions FROM tasks")
        return sorted(rows.splitlines())

    def tasks(self) -> int:
        return int(self._release.sql("SELECT count(*) FROM tasks"))

    def stats(self) -> dict[str, Any]:
        """What the demo API counted, by the API server's proxy."""
        namespace, name = self.kubectl.namespace, f"{self._release.full_name}-demo-api"
        path = f"/api/v1/namespaces/{namespace}/services/{name}:8081/proxy/stats"
        return json.loads(self.kubectl("get", "--raw", path))

    def replicas(self) -> int:
        found = self.kubectl.get("deployment", self.deployment)
        return found["spec"].get("replicas", 0)

    def ready(self) -> int:
        found = self.kubectl.get("deployment", self.deployment)
        return found["status"].get("readyReplicas", 0)

    @contextmanager
    def watched(self, file: Path) -> Generator[None]:
        """Write every state of every executor's pod to the file."""
        selector = "app.kubernetes.io/component=executor"
        with file.open("wb") as output:
            watch = subprocess.Popen(
                [
                    *(program("kubectl"), "--kubeconfig", str(self._release.kubeconfig)),
                    *("--namespace", self.kubectl.namespace, "get", "pods", "-l", selector),
                    *("--watch", "-o", "json"),
                ],
                stdout=output,
            )
            try:
                yield
            finally:
                watch.terminate()
                watch.wait()


@pytest.fixture(scope="module")
def release(kubeconfig: Path) -> Iterator[Release]:
    """The chart with one executor, at most five, and servers of its own."""
    build_image()
    load(kubeconfig, IMAGE, *local_images().values())
    release = Release(kubeconfig, name="pool", namespace=f"scaling-{uuid4().hex[:8]}")
    release.kubectl("create", "namespace", release.kubectl.namespace)
    servers = {path.split(".")[0]: {"image": image} for path, image in local_images().items()}
    values: Json = {
        "image": dict(zip(("repository", "tag"), IMAGE.split(":"), strict=True)),
        "operations": OPERATIONS,
        "demoApi": {"enabled": True},
        "settings": {"databaseConnections": 4},
        "proxy": {"replicas": 1, "service": {"type": "NodePort"}, "resources": SMALL},
        "executor": {
            "concurrency": CONCURRENCY,
            "maxReplicas": MAX,
            "scaleDownWindowSeconds": 10,
            "resources": SMALL,
        },
        **servers,
    }
    try:
        release.apply(values)
        yield release
    finally:
        release.helm("uninstall", release.name, "--ignore-not-found")
        release.kubectl("delete", "namespace", release.kubectl.namespace, "--wait=false")


@pytest.fixture
def shop(release: Release) -> Shop:
    return Shop(release)


async def test_a_burst_scales_to_the_most_at_once_and_back_to_the_least(shop: Shop, tmp_path: Path):
    assert shop.replicas() == 1
    states = tmp_path / "pods.json"
    with shop.watched(states):
        began = datetime.now(UTC)
        shop.submit(*["slow+8"] * 200)
        await becomes(lambda: shop.replicas() == MAX, seconds=30)
        await becomes(lambda: shop.ready() == MAX, seconds=180)
        await becomes(lambda: shop.unfinished() == 0, seconds=180)
        await becomes(lambda: shop.replicas() == 1, seconds=120)
        await becomes(lambda: len(executors(shop)) == 1, seconds=120)
    pods = seen(states)
    created = [datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in pods]
    took = (max(created) - began).total_seconds()
    assert took <= 15
    assert shop.attempts() == ["succeeded|1|0"]
    stats = shop.stats()
    assert (stats["calls"], stats["duplicate_calls"], stats["disconnects"]) == (shop.tasks(), 0, 0)
    went = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
    assert len(went) == MAX - 1
    # Those that Kubernetes removed are those that had drained, and no other.
    assert all(pod["metadata"].get("annotations", {}).get(COST) == "-100" for pod in went)


async def test_long_tasks_outlive_a_scale_down(shop: Shop, tmp_path: Path):
    """They run on executors that came late, which Kubernetes by itself would remove first."""
    shop.submit(*["slow+5"] * 150)
    await becomes(lambda: shop.ready() == MAX, seconds=180)
    states = tmp_path / "pods.json"
    with shop.watched(states):
        shop.submit("slow+75", "slow+75")
        await becomes(lambda: shop.unfinished() == 2, seconds=120)
        await becomes(lambda: shop.replicas() <= 2, seconds=60)
        await becomes(lambda: len(executors(shop)) <= 2, seconds=60)
        assert shop.unfinished() == 2
        await becomes(lambda: shop.unfinished() == 0, seconds=120)
        await becomes(lambda: shop.replicas() == 1, seconds=60)
    assert shop.attempts() == ["succeeded|1|0"]
    stats = shop.stats()
    assert (stats["calls"], stats["duplicate_calls"], stats["disconnects"]) == (shop.tasks(), 0, 0)
    went = [pod for pod in seen(states) if "deletionTimestamp" in pod["metadata"]]
    assert went
    assert all(pod["metadata"].get("annotations", {}).get(COST) == "-100" for pod in went)


async def test_kubectl_shows_the_pool(shop: Shop):
    name = shop.deployment
    shop.kubectl("wait", "--for=condition=Ready", f"executorpool/{name}", "--timeout=60s")
    header = shop.kubectl("get", "executorpools").splitlines()[0]
    columns = ["NAME", "QUEUE", "QUEUED", "RUNNING", "REPLICAS", "DESIRED", "DRAIN", "READY", "AGE"]
    assert header.split() == columns
    at_rest = [name, "clients", "0", "0", "1", "1", "0", "True"]

    def row() -> list[str]:
        return shop.kubectl("get", "executorpools", "--no-headers").split()[:8]

    await becomes(lambda: row() == at_rest, seconds=20)
    events = shop.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}")
    assert "ScaledUp" in events
    assert "ScaledDown" in events


async def becomes(is_so: Callable[[], bool], *, seconds: float) -> None:
    async def check() -> None:
        if not is_so():
            # A kubectl takes as much CPU as the pods that it is asked about.
            await asyncio.sleep(POLL_SECONDS)
            raise AssertionError

    await eventually(check, timeout_seconds=seconds)


def executors(shop: Shop) -> list[dict[str, Any]]:
    return shop.kubectl.get("pods", "-l", "app.kubernetes.io/component=executor")["items"]


def seen(states: Path) -> list[dict[str, Any]]:
    """The last state of each pod that a watch has shown."""
    text, decoder, pods = states.read_text().strip(), json.JSONDecoder(), dict[str, Any]()
    while text:
        state, end = decoder.raw_decode(text)
        pods[state["metadata"]["name"]] = state
        text = text[end:].lstrip()
    return list(pods.values())
