"""The life of one release, in order: installed, used, scaled, upgraded, broken, removed."""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory

from asynctasks.migration import _config
from asynctestkit.calls import caller, create_client, finished_task, new_email
from asynctestkit.eventually import eventually
from asynctestkit.person import Person
from asynctestkit.release import CHART, NEXT_IMAGE, Json, Release, build_next_image, load
from asynctestkit.shown_commands import blocks, commands, scripts, timeless
from asynctestkit.steady_load import SteadyLoad

PROXIES = "app.kubernetes.io/instance=demo,app.kubernetes.io/component=proxy"
HEAD = str(ScriptDirectory.from_config(_config()).get_current_head())


def test_helm_test_submits_a_task_and_sees_its_object(release: Release, somebody: Person):
    _, install, test = scripts("docs/install.md", "To try it")[0].splitlines()
    said = somebody.types(test)
    assert "Phase:          Succeeded" in said
    assert "Failed" not in said
    # The chart's own page has the same, for who stands in its folder.
    (own,) = scripts("charts/asyncapiproxy/README.md")
    assert own.replace(" . ", " charts/asyncapiproxy ").split(" && ") == [install, f"{test}\n"]


def test_the_cluster_takes_all_that_the_chart_can_make(release: Release, values: Json):
    """By a dry run on the server, in a namespace that also warns of what Deployments ask for."""
    more: Json = {
        **values,
        "proxy": {"autoscaling": {"enabled": True}},
        "executor": {"podDisruptionBudget": {"enabled": True}},
        "ingress": {"enabled": True, "hosts": ["tasks.example.com"]},
        "networkPolicy": {"egress": {"enabled": True}},
        "rbac": {"aggregateClusterRoles": True},
        "monitoring": {"dashboard": {"enabled": True}},
    }
    manifests = release.helm("template", "other", str(CHART), "--no-hooks", values=more)
    said = release.kubectl(
        *("apply", "--dry-run=server", "--warnings-as-errors", "-f", "-"), given=manifests
    )
    assert said.count("(server dry run)") > 20
    assert "horizontalpodautoscaler" in said


async def test_a_call_is_answered_through_the_service(release: Release):
    async with caller(release.url) as client:
        email = new_email()
        answer = await create_client(client, email)
        assert answer.status_code == 201, answer.text
        assert answer.json()["email"] == email
        assert (await client.get("/ping")).json()["status"] == "ok"


async def test_executors_follow_a_burst_up_and_down_and_no_attempt_is_cut_short(
    release: Release, somebody: Person
):
    deployment = f"{release.full_name}-executor-clients"

    def replicas() -> int:
        return release.kubectl.get("deployment", deployment)["spec"]["replicas"]

    async with caller(release.url) as client:
        answers = await asyncio.gather(
            *(
                create_client(client, new_email("slow+8"), prefer="respond-async")
                for _ in range(150)
            )
        )
        assert {answer.status_code for answer in answers} == {202}

        def is_up() -> None:
            assert replicas() == 3

        (pools,) = commands("docs/scaling.md", "")

        def is_shown() -> None:
            printed = without_numbers(somebody.types(pools.text))
            assert printed == without_numbers(pools.output or "")

        await eventually_blocking(is_up, seconds=30)
        await eventually_blocking(is_shown, seconds=60)
        tasks = [
            await finished_task(client, answer.headers["task-id"], timeout_seconds=120)
            for answer in answers
        ]
    assert {(task["status"], task["attempt"]) for task in tasks} == {("succeeded", 1)}

    def is_down() -> None:
        assert replicas() == 1

    await eventually_blocking(is_down, seconds=120)
    assert release.restarts() == 0


async def test_an_upgrade_with_a_migration_fails_no_call(
    release: Release, values: Json, kubeconfig: Path, tmp_path: Path
):
    """Proxies, executors and operator are replaced by a version that needs one migration more."""
    assert release.revision() == HEAD
    revision = build_next_image(tmp_path, head=HEAD)
    load(kubeconfig, NEXT_IMAGE)
    repository, _, tag = NEXT_IMAGE.partition(":")
    before = {pod["metadata"]["name"] for pod in release.pods("proxy") + release.pods("executor")}
    with SteadyLoad(release.url) as load_during:
        await until_answered(load_during, 50)
        await asyncio.to_thread(
            release.apply, {**values, "image": {"repository": repository, "tag": tag}}
        )
        await until_answered(load_during, 50)
    answers = load_during.answers
    print(f"calls during the upgrade: {dict(answers.outcomes)}")  # noqa: T201 - the measure, shown by -rA
    assert answers.faults == []
    assert release.revision() == revision
    after = {pod["metadata"]["name"] for pod in release.pods("proxy") + release.pods("executor")}
    assert before.isdisjoint(after)
    await all_succeed(release, answers.emails)


def test_passwords_and_keys_survive_an_upgrade(release: Release, somebody: Person):
    name = f"{release.full_name}-credentials"
    before = release.kubectl.get("secret", name)["data"]
    (upgrade,) = scripts("docs/operate.md", "Upgrade")
    assert "STATUS: deployed" in somebody.types(upgrade)
    assert release.kubectl.get("secret", name)["data"] == before


@pytest.mark.parametrize("component", ["proxy", "executor", "operator", "rabbitmq", "postgresql"])
async def test_a_component_that_is_killed_under_load_loses_nothing(
    release: Release, component: str
):
    """SIGKILL to every pod of it. Who is not answered asks again, with the same key."""
    before = release.restarts()
    with SteadyLoad(release.url, callers=8, again=True) as load_during:
        await until_answered(load_during, 50)
        assert release.kill(component)

        def is_back() -> None:
            assert release.restarts() > before
            for pod in release.pods(component):
                (status,) = pod["status"]["containerStatuses"]
                assert status["ready"]

        await eventually_blocking(is_back, seconds=120)
        await until_answered(load_during, 50)
    print(f"calls around the death of {component}: {dict(load_during.answers.outcomes)}")  # noqa: T201 - likewise
    await all_succeed(release, load_during.answers.emails)


async def test_an_operation_of_ones_own_gets_its_executors_and_callers(
    release: Release, somebody: Person
):
    operation = blocks("docs/add-an-operation.md", "yaml")[0]
    (somebody.folder / "operation.yaml").write_text(operation)
    (upgrade,) = scripts("docs/add-an-operation.md", "")
    somebody.types(upgrade)
    assert release.kubectl.is_there("executorpool", f"{release.full_name}-executor-invoices")
    # The kubelet looks at changed files when it looks at the pod: at once, where that changes.
    release.kubectl("annotate", "pods", "--selector", PROXIES, "looked-at=1")

    async def is_served() -> None:
        async with caller(release.url) as client:
            paths = (await client.get("/openapi.json")).json()["paths"]
        assert "/invoices" in paths

    await eventually(is_served, timeout_seconds=180)


async def test_uninstalling_leaves_nothing_but_the_definitions(release: Release, somebody: Person):
    started = time.monotonic()
    (uninstall,) = scripts("docs/install.md", "Remove")
    somebody.types(f"{uninstall.strip()} --wait --timeout 3m")
    assert time.monotonic() - started < 120
    kinds = release.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    left = set(kinds) - {"events", "events.events.k8s.io"}

    def is_gone() -> None:
        found = release.kubectl("get", ",".join(sorted(left)), "-o", "name").split()
        ours = [name for name in found if "kube-root-ca.crt" not in name]
        assert [name for name in ours if name != "serviceaccount/default"] == []

    await eventually_blocking(is_gone, seconds=120)
    definitions = release.kubectl("get", "crd", "-o", "name")
    assert "asynctasks.asyncapiproxy.dev" in definitions
    assert "executorpools.asyncapiproxy.dev" in definitions


def without_numbers(printed: str) -> str:
    """With a 0 for each."""
    return re.sub(r"\b\d+\b", "0", timeless(printed))


async def all_succeed(release: Release, emails: dict[str, str]) -> None:
    """Every accepted call's task ends well, once, and its client is there."""
    assert emails

    async def done() -> Any:
        others = release.sql("SELECT id FROM tasks WHERE status <> 'succeeded'")
        assert set(others.splitlines()).isdisjoint(emails.values())

    await eventually(done, timeout_seconds=120)
    known = set(release.sql("SELECT id FROM tasks").splitlines())
    assert [task_id for task_id in emails.values() if task_id not in known] == []
    # One task for each email, and a demo API that refuses a known one: each ran to its end once.
    assert len(set(emails.values())) == len(emails)


async def until_answered(load: SteadyLoad, more: int) -> None:
    """Until so many further calls have been accepted."""
    wanted = len(load.answers.emails) + more

    def answered() -> None:
        assert len(load.answers.emails) >= wanted, load.answers.faults[-3:]

    await eventually(answered, timeout_seconds=120)


async def eventually_blocking(assertion: Callable[[], None], *, seconds: float) -> None:
    """The same for an assertion that runs programs: beside the loop, which has callers."""

    async def beside() -> None:
        await asyncio.to_thread(assertion)

    await eventually(beside, timeout_seconds=seconds)
