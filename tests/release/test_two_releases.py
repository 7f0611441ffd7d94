"""Two releases in one namespace, of which one is rolled under load and the other removed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from asynctestkit.calls import caller, create_client, finished_task, new_email
from asynctestkit.eventually import eventually
from asynctestkit.kubernetes_cluster import ours
from asynctestkit.release import CHART, Json, Release
from asynctestkit.steady_load import SteadyLoad

EXECUTORS = 6
CPU = {
    **dict.fromkeys(("proxy", "postgresql", "rabbitmq"), "50m"),
    **dict.fromkeys(("executor", "operator", "demoApi"), "10m"),
}
"""So little is asked for that all of both fit on a node of two cores."""


@pytest.fixture(scope="module")
def small_values(values: Json) -> Json:
    """Those of the other release, with little asked for."""
    small = {
        part: {**values.get(part, {}), "resources": {"requests": {"cpu": cpu}}}
        for part, cpu in CPU.items()
    }
    return {**values, **small}


@pytest.fixture(scope="module")
def wide_values(small_values: Json) -> Json:
    """With six executors whatever there is to do."""
    executor = {
        **small_values["executor"],
        "minReplicas": EXECUTORS,
        "maxReplicas": EXECUTORS,
        "maxSurge": 2,
    }
    return {**small_values, "executor": executor, "operations": demo_operations()}


@pytest.fixture(scope="module")
def bakery(kubeconfig: Path, namespace: str, wide_values: Json) -> Iterator[Release]:
    """The one with the executors."""
    yield from installed(Release(kubeconfig, name="bakery", namespace=namespace), wide_values)


@pytest.fixture(scope="module")
def florist(kubeconfig: Path, namespace: str, small_values: Json) -> Iterator[Release]:
    """The one beside it."""
    yield from installed(Release(kubeconfig, name="florist", namespace=namespace), small_values)


def installed(release: Release, values: Json) -> Iterator[Release]:
    """The release, gone in the end unless a test has removed it."""
    release.apply(values)
    yield release
    release.helm("uninstall", release.name, "--ignore-not-found", "--wait", "--timeout", "3m")


def demo_operations() -> Json:
    """The demo's own, which a caller of these tests needs."""
    text = (CHART / "files/demo-operations.yaml").read_text()
    return cast("Json", yaml.safe_load(text)["operations"])


async def test_each_shows_its_own_and_runs_what_names_it(bakery: Release, florist: Release):
    installations: dict[str, str] = {}
    for release in (bakery, florist):
        async with caller(release.url) as client:
            answer = await create_client(client, new_email("slow+20"), prefer="wait=1")
        assert answer.status_code == 202, answer.text
        installations[f"t-{answer.headers['task-id']}"] = release.full_name
    await seen(bakery, installations)
    named = {f"of-{release.name}": release.full_name for release in (bakery, florist)}
    bakery.kubectl.apply(*(person(name, whose) for name, whose in named.items()))
    await seen(bakery, {**installations, **named}, status="Succeeded")
    for release in (bakery, florist):
        # What the proxy was asked for, and the object that names this release.
        assert release.sql("SELECT count(*) FROM tasks WHERE status = 'succeeded'") == "2"


async def test_a_roll_of_six_executors_with_other_operations_fails_no_call(
    bakery: Release, wide_values: Json
):
    """One comes, one changes, one goes; and with each all pods are replaced, too."""
    assert len(bakery.pods("executor")) == EXECUTORS
    operations = wide_values["operations"]
    added = {"import-client": {**operations["create-client"], "route": "POST /imports"}}
    changed = {**operations["create-client"], "waitSeconds": 11}
    rolls = [
        {**operations, **added},
        {**operations, **added, "create-client": changed},
        {"create-client": changed},
    ]
    before = executors(bakery)
    with SteadyLoad(bakery.url) as load:
        for number, rolled in enumerate(rolls):
            executor = {**wide_values["executor"], "env": {"ROLL": str(number)}}
            await asyncio.to_thread(
                bakery.apply, {**wide_values, "operations": rolled, "executor": executor}
            )
            assert before.isdisjoint(executors(bakery))
            before = executors(bakery)
            await eventually(lambda rolled=rolled: documents(bakery, rolled), timeout_seconds=180)
            if "import-client" in rolled:
                async with caller(bakery.url) as client:
                    arguments = {"email": new_email(), "name": "Ann"}
                    called = await client.post("/imports", json=arguments)
                assert called.status_code == 201, called.text
    assert load.answers.faults == []
    assert len(load.answers.emails) > 100
    await all_succeeded(bakery)


async def test_the_end_of_one_leaves_the_tasks_of_the_other_alone(
    bakery: Release, florist: Release
):
    async with caller(bakery.url) as client:
        # Well within an attempt's time, which is 30 s.
        answers = await asyncio.gather(
            *(create_client(client, new_email("slow+25"), prefer="wait=1") for _ in range(20))
        )
        ids = [answer.headers["task-id"] for answer in answers]
        await seen(bakery, {f"t-{task_id}": bakery.full_name for task_id in ids})
        await asyncio.to_thread(
            florist.helm, "uninstall", florist.name, "--wait", "--timeout", "3m"
        )
        tasks = [await finished_task(client, task_id, timeout_seconds=60) for task_id in ids]
    assert {(task["status"], task["attempt"]) for task in tasks} == {("succeeded", 1)}
    await eventually_gone(bakery, florist.full_name)


async def eventually_gone(release: Release, installation: str) -> None:
    """Until there is no object that the mirror of the installation has made; people's stay."""

    def check() -> None:
        found = cast("list[Json]", release.kubectl.get("asynctasks")["items"])
        theirs = {
            one["metadata"]["name"]
            for one in found
            if one["status"]["installation"] == installation
        }
        assert {name for name in theirs if name.startswith("t-")} == set()

    await eventually(lambda: asyncio.to_thread(check), timeout_seconds=60)


async def documents(release: Release, operations: Json) -> None:
    """Each proxy serves these: kubelet gives them a changed file within a minute or two."""
    for _ in range(8):
        async with caller(release.url) as client:  # by a connection of its own, to any of them
            paths = (await client.get("/openapi.json")).json()["paths"]
        assert ("/imports" in paths) is ("import-client" in operations)


def person(name: str, installation: str) -> Json:
    """An AsyncTask that somebody applies."""
    arguments = {"email": new_email(), "name": "Ann"}
    spec = {"operation": "create-client", "arguments": arguments, "installation": installation}
    return ours("AsyncTask", name, spec)


def executors(release: Release) -> set[str]:
    return {pod["metadata"]["name"] for pod in release.pods("executor")}


async def seen(release: Release, wanted: dict[str, str], *, status: str | None = None) -> None:
    """Until each of these objects tells whose it is, and has the status."""

    def check() -> None:
        found = cast("list[dict[str, Any]]", release.kubectl.get("asynctasks")["items"])
        of = {one["metadata"]["name"]: one.get("status", {}) for one in found}
        for name, installation in wanted.items():
            shown = of.get(name, {})
            assert shown.get("installation") == installation, (name, shown)
            assert status in {None, shown.get("taskStatus")}, (name, shown)

    await eventually(lambda: asyncio.to_thread(check), timeout_seconds=60)


async def all_succeeded(release: Release) -> None:
    def ended() -> None:
        others = "SELECT id, status, error FROM tasks WHERE status <> 'succeeded' LIMIT 3"
        assert release.sql(others) == ""

    await eventually(lambda: asyncio.to_thread(ended), timeout_seconds=120)
