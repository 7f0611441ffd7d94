"""`asyncapiproxy task cancel|retry|delete` without an id, and `batch`, against a running proxy."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from asyncapiproxy.main import app
from asynctestkit.eventually import eventually
from asynctestkit.inside import Inside, accepted, inside

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UNKNOWN_ID = "01a20d2b-c3ed-76f0-8622-758cfbed0d1d"


@pytest.fixture
async def installation(sqlite_url: str) -> AsyncIterator[Inside]:
    given: dict[str, Any] = {"database_url": sqlite_url, "broker_url": "memory://"}
    async with inside(relay_interval_seconds=0.05, **given) as found:
        yield found


@pytest.fixture
async def client(installation: Inside) -> httpx.AsyncClient:
    return await installation.client(await installation.proxy())


async def typed(client: httpx.AsyncClient, *words: str) -> Result:
    environment = {"ASYNCAPIPROXY_URL": str(client.base_url), "COLUMNS": "200", "TERM": "dumb"}
    # In a thread: the proxy answers in this one.
    return await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)


async def statuses(client: httpx.AsyncClient) -> list[str]:
    return [task["status"] for task in (await client.get("/tasks")).json()["tasks"]]


async def test_a_dry_run_says_how_many_there_are_and_does_nothing(client: httpx.AsyncClient):
    for team in ("a", "a", "b"):
        await accepted(client, **{"Task-Labels": f"team={team}"})
    words = ("task", "cancel", "--label", "team=a", "--since", "2h", "--dry-run")
    done = await typed(client, *words)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "2 tasks: 2 queued\n", "")
    document = json.loads((await typed(client, *words, "-o", "json")).stdout)
    assert (document["matched"], document["isComplete"]) == (2, True)
    none = await typed(client, "task", "retry", "--operation", "other", "--dry-run")
    assert none.stdout == "0 tasks\n"
    assert await statuses(client) == ["queued"] * 3


@pytest.mark.parametrize(
    "words",
    [
        ("delete", "--error-type", "task-expired", "--error-type", "task-cancelled"),
        ("delete", "--batch", "a", "--batch", "b"),
        ("retry", "--status", "failed", "--status", "expired"),
        ("cancel", "--operation", "a", "--operation", "b", "--dry-run"),
        ("cancel", "--since", "2h", "--since", "1h"),
    ],
)
async def test_what_is_given_twice_means_no_more_tasks_than_either(
    client: httpx.AsyncClient, words: tuple[str, ...]
):
    done = await typed(client, "task", *words)
    assert done.exit_code == 2
    assert f"{words[1]}: it is given 2 times; give one" in done.stderr


@pytest.mark.parametrize("command", ["list", "delete"])
async def test_two_labels_of_one_name_are_refused(client: httpx.AsyncClient, command: str):
    done = await typed(client, "task", command, "--label", "team=a", "--label", "team=b")
    assert (done.exit_code, "give each label once" in done.stderr) == (2, True)


async def test_tasks_are_meant_by_all_their_labels_and_by_how_they_ended(
    client: httpx.AsyncClient,
):
    both = await accepted(client, **{"Task-Labels": "team=a, tier=1"})
    await accepted(client, **{"Task-Labels": "team=a"})
    labels = ("--label", "team=a", "--label", "tier=1")
    assert (await typed(client, "task", "list", *labels, "-o", "name")).stdout == f"{both}\n"
    batch = await typed(client, "task", "cancel", *labels)
    assert "label=team=a, label=tier=1" in batch.stdout

    async def ended() -> None:
        of_type = ("task", "list", "--error-type", "task-cancelled", "-o", "name")
        assert (await typed(client, *of_type)).stdout == f"{both}\n"

    await eventually(ended)
    dry = ("task", "retry", "--error-type", "task-expired", "--dry-run")
    assert (await typed(client, *dry)).stdout == "0 tasks\n"


async def test_tasks_are_meant_by_the_batch_that_they_were_submitted_in(
    client: httpx.AsyncClient,
):
    await accepted(client)
    submit = ("task", "submit", "create-client", "--async", "--batch", "import/7")
    submitted = (await typed(client, *submit, "-o", "name")).stdout
    (task_id,) = {*re.findall(ID, submitted)}
    assert re.search("batch +import/7", (await typed(client, "task", "get", task_id)).stdout)
    in_batch = ("--batch", "import/7")
    listed = await typed(client, "task", "list", *in_batch, "-o", "name")
    assert listed.stdout == f"{task_id}\n"
    assert "import/7" in (await typed(client, "task", "list", "-o", "wide")).stdout
    dry = await typed(client, "task", "cancel", *in_batch, "--dry-run")
    assert dry.stdout == "1 task: 1 queued\n"
    odd = await typed(client, "task", "submit", "create-client", "--async", "--batch", "a b")
    assert (odd.exit_code, "Task-Batch: expected a name of letters" in odd.stderr) == (1, True)


async def test_what_is_typed_is_done_and_can_be_followed(client: httpx.AsyncClient):
    for team in ("a", "a", "b"):
        await accepted(client, **{"Task-Labels": f"team={team}"})
    done = await typed(client, "task", "cancel", "--label", "team=a", "-o", "name")
    # What the proxy logs meanwhile stands there, too: it is in the same process.
    (batch_id,) = {*re.findall(ID, done.stdout)}

    async def shown() -> list[str]:
        found = await typed(client, "batch", "get", batch_id)
        assert "● succeeded" in found.stdout, found.output
        return [" ".join(line.split()) for line in found.stdout.splitlines()]

    lines = await eventually(shown)
    assert {"action cancel", "tasks label=team=a", "matched 2", "done 2"} <= {*lines}
    assert await statuses(client) == ["queued", "cancelled", "cancelled"]
    for words in (("retry", "--status", "cancelled"), ("delete", "--operation", "x", "--yes")):
        done = await typed(client, "task", *words)
        assert (done.exit_code, "action" in done.stdout) == (0, True), done.output
        assert "asyncapiproxy batch get " in done.stderr

    listed = (await typed(client, "batch", "list")).stdout
    rows = re.findall(rf"^({ID}) +(\w+)", listed, re.MULTILINE)
    assert [action for _, action in rows] == ["delete", "retry", "cancel"]
    assert rows[2][0] == batch_id
    refused = await typed(client, "batch", "cancel", batch_id)
    assert (refused.exit_code, "has succeeded" in refused.stderr) == (1, True)
    unknown = await typed(client, "batch", "get", UNKNOWN_ID)
    assert (unknown.exit_code, "no such batch" in unknown.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give an ID, or which tasks are meant: --status"),
        ((UNKNOWN_ID, "--status", "failed"), "and not both"),
        ((UNKNOWN_ID, "--dry-run"), "and not both"),
        (("--since", "yesterday"), "90s, 5m, 2h or 1d"),
        (("--label", "team"), "expected NAME=VALUE"),
    ],
)
@pytest.mark.parametrize("action", ["cancel", "retry", "delete"])
def test_what_cannot_be_meant_is_told_before_anything_is_asked(
    action: str, words: tuple[str, ...], told: str
):
    environment = {"ASYNCAPIPROXY_URL": "http://127.0.0.1:1", "COLUMNS": "200"}
    done = CliRunner().invoke(app, ["task", action, *words], env=environment)
    assert done.exit_code == 2
    assert told in done.stderr


async def test_a_status_that_is_none_is_told_as_the_proxy_tells_it(client: httpx.AsyncClient):
    done = await typed(client, "task", "retry", "--status", "succeeded")
    assert done.exit_code == 1
    assert "/filter/status" in done.stderr
    assert "expected failed, cancelled or expired, to retry it" in done.stderr
