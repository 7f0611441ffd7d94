"""`asyncapiproxy queue`, `limit` and `operations` against a running proxy."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from asyncapiproxy.main import app
from asynctasks.limits.limit import Limit
from asynctestkit.inside import inside, operation

CRM = Limit.model_validate(
    {"name": "crm", "concurrency": 40, "ratePerSecond": 2.5, "fairBy": "tenant", "breaker": {}}
)
OPERATIONS = (operation(limits=["crm"]).bounded_by({"crm": CRM}), operation("slow", queue="slow"))


class Command:
    """The command, which asks one proxy."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __call__(self, *words: str) -> Result:
        environment = {"ASYNCAPIPROXY_URL": self._url, "COLUMNS": "120", "TERM": "dumb"}
        # In a thread: the proxy answers in this one.
        return await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)

    async def lines(self, *words: str) -> list[str]:
        """What it shows, each line with single spaces."""
        done = await self(*words)
        assert (done.exit_code, done.stderr) == (0, ""), done.output
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    async def document(self, *words: str) -> Any:
        done = await self(*words, "-o", "json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
async def command(sqlite_url: str) -> AsyncIterator[Command]:
    async with inside(*OPERATIONS, database_url=sqlite_url, broker_url="memory://") as installation:
        proxy = await installation.proxy()
        yield Command(proxy.url)


async def test_queues_are_listed_with_their_operations(command: Command):
    assert await command.lines("queue", "list") == [
        "queue queued held published running executors paused",
        "clients 0 0 0 0 0",
        "create-client 0 0 0 0",
        "slow 0 0 0 0 0",
        "slow 0 0 0 0",
    ]
    queues = (await command.document("queue", "list"))["queues"]
    assert [queue["name"] for queue in queues] == ["clients", "slow"]


@pytest.mark.parametrize(
    ("kind", "name"), [("queue", "clients"), ("operations", "create-client"), ("limit", "crm")]
)
async def test_what_is_paused_says_since_when_until_it_is_resumed(
    command: Command, kind: str, name: str
):
    shown = "\n".join(await command.lines(kind, "pause", name))
    assert name in shown
    since = (await command.document(kind, "pause", name))["paused"]["since"]
    assert f"since {since[:10]} {since[11:19]} UTC" in shown
    listed = "limit" if kind == "limit" else "queue"
    assert f"since {since[:10]}" in "\n".join(await command.lines(listed, "list"))
    assert "since" not in "\n".join(await command.lines(kind, "resume", name))


async def test_a_limit_is_set_and_shows_what_the_file_says(command: Command):
    assert await command.lines("limit", "list") == [
        "limit running held rate breaker paused changed",
        "crm 0 of 40 0 2.5 a second, 1 at once closed",
    ]
    shown = await command.lines("limit", "set", "crm", "--concurrency", "10", "--burst", "5")
    assert shown == [
        "limit crm",
        "operations create-client",
        "concurrency 10 (in the file: 40)",
        "rate per second 2.5",
        "burst 5 (in the file: none)",
        "shared by tenant",
        "running 0",
        "held 0",
        "starts left 5",
        "breaker closed, 0 failures in a row",
        "it opens by failures: 10, withinSeconds: 10, openSeconds: [5, 300]",
    ]
    assert (await command.lines("limit", "list"))[1].endswith("closed concurrency, burst")
    assert await command.lines("limit", "show", "crm") == shown
    changed = await command.document("limit", "set", "crm", "--rate-per-second", "0.5")
    assert changed["changed"] == {"concurrency": 10, "burst": 5, "ratePerSecond": 0.5}
    options = ("--concurrency", "file", "--burst", "file", "--rate-per-second", "file")
    assert (await command.document("limit", "set", "crm", *options))["changed"] == {}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("limit", "set", "crm"), 2, "give --concurrency"),
        (("limit", "set", "crm", "--concurrency", "x"), 2, "expected a whole number or `file`"),
        (("limit", "set", "crm", "--burst", "2.5"), 2, "expected a whole number or `file`"),
        (("limit", "set", "crm", "--concurrency", "9" * 26), 2, "the number is too large"),
        (("limit", "set", "crm", "--burst", "-" + "9" * 400), 2, "the number is too large"),
        (("limit", "set", "crm", "--rate-per-second", "inf"), 2, "the number is too large"),
        (("limit", "set", "crm", "--rate-per-second", "nan"), 2, "expected a number or `file`"),
        (("limit", "set", "crm", "--concurrency", "0"), 1, "/concurrency"),
        (("limit", "show", "nobody"), 1, "There is no such limit"),
        (("queue", "pause", "a/b"), 1, "404"),
        (("operations", "resume", "nobody"), 1, "There is no such operation"),
    ],
)
async def test_what_cannot_be_done_is_told_and_exits_so(
    command: Command, words: tuple[str, ...], code: int, told: str
):
    done = await command(*words)
    assert done.exit_code == code, done.output
    assert told in done.stderr
    assert done.stdout == ""
