"""What documents have people type at a release: it prints and does what they tell."""

import asyncio
import base64
from collections.abc import Iterator

import httpx
import pytest
import yaml
from cryptography.fernet import Fernet

from asynctestkit.calls import caller, create_client, finished_task, new_email
from asynctestkit.eventually import eventually
from asynctestkit.person import Person
from asynctestkit.release import IMAGE, Json, Release
from asynctestkit.shown_commands import ID, Command, blocks, commands, is_as_shown, scripts

MONITORING = "monitoring.coreos.com"
MONITORED = ("PodMonitor", "PrometheusRule")


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_shown_yet(release: Release) -> None:
    release.kubectl("delete", "asynctasks", "--field-selector", "status.finished=true")


@pytest.fixture
def place(release: Release) -> dict[str, str]:
    return {"localhost:8080": release.url.removeprefix("http://")}


async def test_long_tasks_are_shown_found_awaited_and_ended_by_their_objects(
    release: Release, somebody: Person, place: dict[str, str]
):
    curl, long_task = commands("README.md", "On Kubernetes")
    table, by_field = commands("docs/asynctasks.md", "")
    failed, delete_finished = by_field.text.splitlines()
    wait, cancel, delete = scripts("docs/asynctasks.md", "Wait, cancel, submit")[0].splitlines()
    shown = "t-01a20d31-…"

    async with caller(release.url) as client:
        places = {**place, "slow+20@example.com": new_email("slow+20")}
        answer = await types(somebody, curl.text, places)
        assert answer.startswith("HTTP/1.1 202 ")
        first = ID.findall(answer)[0]
        await eventually(lambda: shows(somebody, long_task))

        second = await submitted(client, new_email("slow+60"))
        await types(somebody, wait, {shown: f"t-{first}"})
        await eventually(lambda: shows(somebody, table))

        third = await submitted(client, new_email("slow+60"))
        fourth = await submitted(client, new_email("fail+422"))
        await eventually(lambda: names(somebody, failed, {fourth}))
        await eventually(lambda: names(somebody, table.text, {first, second, third, fourth}))
        await types(somebody, delete_finished)
        await names(somebody, table.text, {second, third})

        await types(somebody, cancel, {shown: f"t-{second}"})
        await types(somebody, delete, {shown: f"t-{third}"})
        for task_id in (second, third):
            assert (await finished_task(client, task_id))["status"] == "cancelled"
        await names(somebody, table.text, {second})


def test_what_there_is_can_be_seen(somebody: Person, place: dict[str, str]):
    (see,) = scripts("docs/operate.md", "See")
    printed = somebody.types(see, place)
    for what in (
        "demo-asyncapiproxy-executor-clients",
        '"event": "',
        "clients",
        '"status":"ok"',
    ):
        assert what in printed


def test_a_back_up_has_the_tasks_and_what_opens_them(release: Release, somebody: Person):
    dump, keys = scripts("docs/operate.md", "Back up")
    somebody.types(dump)
    restore = "kubectl exec -i demo-asyncapiproxy-postgresql-0 -- pg_restore --list < tasks.dump"
    assert "TABLE DATA public tasks" in somebody.types(restore)
    for key in somebody.types(keys).split(","):
        Fernet(key)


@pytest.fixture
def paused_pool(release: Release, somebody: Person) -> Iterator[str]:
    """The pool of the queue, which a person may pause; afterwards it is not."""
    pool = f"{release.full_name}-executor-clients"
    yield pool
    (pause,) = scripts("docs/scaling.md", "Pause a queue")
    somebody.types(pause, {"NAME": pool, "true": "null"})


async def test_keys_are_rotated_while_a_paused_queue_holds_what_the_old_one_sealed(
    release: Release, somebody: Person, paused_pool: str
):
    (pause,) = scripts("docs/scaling.md", "Pause a queue")
    (rotate,) = scripts("docs/operate.md", "Rotate sealing keys")
    old = sealing_keys(release)
    async with caller(release.url) as client:
        await types(somebody, pause, {"NAME": paused_pool})
        await eventually(lambda: is_paused(client, by=f"ExecutorPool {paused_pool}"))
        before = await submitted(client, new_email(), password="correct horse")
    await types(somebody, rotate)
    new, *rest = sealing_keys(release)
    assert rest == old
    # Until then some are still led to them.
    await eventually(lambda: nobody_leaves(release), timeout_seconds=120)
    async with caller(release.url) as client:
        after = await submitted(client, new_email(), password="correct horse")
        for key, task_id in ((old[0], before), (new, after)):
            sealed = f"SELECT sealed_arguments FROM tasks WHERE id = '{task_id}'"
            Fernet(key).decrypt(release.sql(sealed))
        await types(somebody, pause, {"NAME": paused_pool, "true": "null"})
        for task_id in (before, after):
            assert (await finished_task(client, task_id))["status"] == "succeeded"


@pytest.fixture
def production(release: Release) -> Iterator[dict[str, str]]:
    """What stands for the servers of docs/install.md: a database of the bundled one, its broker."""
    kubectl = release.kubectl
    release.sql("CREATE DATABASE tasks")
    kubectl.apply(*map(definition, MONITORED), may_connect(release))
    credentials = kubectl.get("secret", f"{release.full_name}-credentials")["data"]
    database, broker = (
        base64.b64decode(credentials[key]).decode()
        for key in ("migration-database-url", "broker-url")
    )
    yield {
        "postgresql://user:password@host/database": f"{database.rpartition('/')[0]}/tasks",
        "amqps://user:password@host/vhost": broker,
    }
    release.helm("uninstall", "tasks", "--ignore-not-found")
    kubectl("delete", "secret/asyncapiproxy", "networkpolicy/tasks", "--ignore-not-found")
    kubectl("delete", "crd", *(f"{kind.lower()}s.{MONITORING}" for kind in MONITORED))
    release.sql("DROP DATABASE tasks WITH (FORCE)")


def test_a_release_with_servers_of_its_own_serves_its_own_operation(
    somebody: Person, production: dict[str, str]
):
    (install,) = scripts("docs/install.md", "For production")
    repository, _, tag = IMAGE.partition(":")
    values: Json = yaml.safe_load(blocks("docs/install.md", "yaml")[0])
    assert values["image"].pop("repository").startswith("registry.example.com/")
    values["image"] |= {"repository": repository, "tag": tag}
    # So little that it has room beside the other release.
    for part in ("proxy", "executor", "operator"):
        values.setdefault(part, {})["resources"] = {"requests": {"cpu": "10m"}}
    (somebody.folder / "values.yaml").write_text(yaml.safe_dump(values))
    somebody.types(install, production)
    asked = "kubectl asyncapiproxy --release tasks operations list -o name"
    assert somebody.types(asked).split() == ["send-invoice"]


def definition(kind: str) -> Json:
    """A CustomResourceDefinition in place of one of Prometheus' operator."""
    name = kind.lower()
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{name}s.{MONITORING}"},
        "spec": {
            "group": MONITORING,
            "scope": "Namespaced",
            "names": {"kind": kind, "singular": name, "plural": f"{name}s"},
            "versions": [version],
        },
    }


def may_connect(release: Release) -> Json:
    """The NetworkPolicy that lets the release `tasks` reach the servers of this one."""
    others = {"matchLabels": {"app.kubernetes.io/instance": "tasks"}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "tasks"},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/instance": release.name}},
            "ingress": [{"from": [{"podSelector": others}]}],
        },
    }


async def types(person: Person, command: str, places: dict[str, str] | None = None) -> str:
    """Beside the loop, which has callers."""
    return await asyncio.to_thread(person.types, command, places)


async def shows(person: Person, command: Command) -> None:
    """It prints what the document has."""
    assert command.output is not None
    printed = await types(person, command.text)
    assert is_as_shown(printed, command.output), printed


async def names(person: Person, command: str, ids: set[str]) -> None:
    """It prints a table of the AsyncTasks of these tasks."""
    printed = await types(person, command)
    assert set(ID.findall(printed)) == ids, printed


async def submitted(client: httpx.AsyncClient, email: str, **more: str) -> str:
    """The id of a new task."""
    answer = await create_client(client, email, prefer="respond-async", **more)
    assert answer.status_code == 202, answer.text
    return answer.headers["task-id"]


async def is_paused(client: httpx.AsyncClient, *, by: str) -> None:
    (queue,) = (await client.get("/queues")).json()["queues"]
    assert queue["paused"], queue
    assert queue["paused"]["by"] == by


async def nobody_leaves(release: Release) -> None:
    """No proxy of an earlier rollout is there any more."""
    selector = "app.kubernetes.io/instance=demo,app.kubernetes.io/component=proxy"
    found = await asyncio.to_thread(release.kubectl.get, "pods", "-l", selector)
    assert not [pod for pod in found["items"] if "deletionTimestamp" in pod["metadata"]]


def sealing_keys(release: Release) -> list[str]:
    data = release.kubectl.get("secret", f"{release.full_name}-credentials")["data"]
    return base64.b64decode(data["sealing-keys"]).decode().split(",")
