"""`kubectl asyncapiproxy`, by a kubectl that forwards to a proxy of the test's own."""

import asyncio
import json
import re
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from asyncapiproxy import Client
from asyncapiproxy.in_cluster import InCluster
from asyncapiproxy.port_forward import forwarded
from asynctestkit.eventually import eventually
from asynctestkit.fake_kubectl import FakeKubectl, fake_kubectl, proxy_objects
from asynctestkit.inside import Inside, held, inside, operation
from asynctestkit.process import bare_environment
from asynctestkit.processes import COMMAND
from asynctestkit.terminal import Terminal

PLUGIN = COMMAND.with_name("kubectl-asyncapiproxy")
COMPLETION = COMMAND.with_name("kubectl_complete-asyncapiproxy")
DOCUMENT = Path(__file__).parents[2] / "docs/command.md"
NOWHERE = "http://127.0.0.1:1"
CTRL_C = "\x03"
SUBMIT = ("task", "submit", "create-client", "name=Ann")


@pytest.fixture
async def installation(sqlite_url: str) -> AsyncIterator[Inside]:
    created = operation("create-client", summary="Create a client")
    async with inside(created, database_url=sqlite_url, broker_url="memory://") as found:
        yield found


@pytest.fixture
async def kubectl(installation: Inside, tmp_path: Path) -> FakeKubectl:
    proxy = await installation.proxy()
    await installation.executor()
    to = proxy.url.removeprefix("http://")
    return fake_kubectl(tmp_path / "bin", found=proxy_objects("demo"), to=to)


def environment(kubectl: FakeKubectl) -> dict[str, str]:
    """With a URL that nobody means who asks by kubectl."""
    bare = bare_environment(kubectl.folder)
    return {**bare, "PATH": kubectl.path, "ASYNCAPIPROXY_URL": NOWHERE}


def run(
    *words: str, kubectl: FakeKubectl, program: Path = PLUGIN, given: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *words],
        env=environment(kubectl),
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def terminal(*words: str, kubectl: FakeKubectl) -> Terminal:
    return Terminal(
        (str(PLUGIN), *words),
        folder=kubectl.folder,
        columns=80,
        environment=environment(kubectl),
    )


async def nothing_forwards(kubectl: FakeKubectl) -> None:
    """Wait until no forward of this kubectl's is left."""

    def ended() -> None:
        assert kubectl.forwards
        assert not [pid for pid in kubectl.forwards if psutil.pid_exists(pid)]

    await eventually(ended)


async def test_a_command_reaches_the_release_and_leaves_no_forward(kubectl: FakeKubectl):
    given = json.dumps({"name": "Ann"})
    arguments = ("task", "submit", "create-client", "--arguments", "-", "-o", "json")
    done = await asyncio.to_thread(run, *arguments, kubectl=kubectl, given=given)
    assert (done.returncode, done.stderr) == (0, "")
    task = json.loads(done.stdout)
    assert (task["status"], task["arguments"]) == ("succeeded", {"name": "Ann"})
    await nothing_forwards(kubectl)
    got = await asyncio.to_thread(run, "task", "get", task["id"], "-o", "name", kubectl=kubectl)
    assert got.stdout.strip() == task["id"]


async def test_the_commands_that_the_document_shows_reach_the_release(kubectl: FakeKubectl):
    _, _, text = DOCUMENT.read_text().partition("## In a cluster")
    commands = re.findall(r"^kubectl asyncapiproxy (.*)$", text, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        done = await asyncio.to_thread(run, *shlex.split(command), kubectl=kubectl)
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ("--context", "kind", "-n", "shop", "--release", "demo", "task", "list"),
        ("task", "list", "--context", "kind", "--namespace", "shop", "--release", "demo"),
        ("-n", "shop", "task", "list", "--context", "kind"),
    ],
)
async def test_where_the_release_is_may_stand_before_and_after_the_command(
    kubectl: FakeKubectl, words: tuple[str, ...]
):
    done = await asyncio.to_thread(run, *words, kubectl=kubectl)
    assert (done.returncode, done.stderr) == (0, "")
    for call in kubectl.calls:
        assert call[:4] == ["--context", "kind", "--namespace", "shop"]


async def test_ctrl_c_leaves_the_task_and_ends_the_forward(
    installation: Inside, kubectl: FakeKubectl
):
    going = asyncio.Event()
    installation.upstream.will(held(going))

    def left() -> str:
        with terminal("-n", "shop", *SUBMIT, kubectl=kubectl) as shown:
            shown.wait_for("running")
            shown.press(CTRL_C)
            assert shown.wait() == 130
            return " ".join(" ".join(shown.lines).split())

    said = await asyncio.to_thread(left)
    going.set()
    assert re.search("goes on: kubectl asyncapiproxy --namespace shop task watch [0-9a-f-]+", said)
    assert "Traceback" not in said
    await nothing_forwards(kubectl)


async def test_a_command_that_is_killed_leaves_no_forward(
    installation: Inside, kubectl: FakeKubectl
):
    going = asyncio.Event()
    installation.upstream.will(held(going))
    process = await asyncio.create_subprocess_exec(PLUGIN, *SUBMIT, env=environment(kubectl))

    async def runs() -> None:
        assert installation.upstream.keys

    await eventually(runs)
    assert all(map(psutil.pid_exists, kubectl.forwards))
    process.send_signal(signal.SIGKILL)
    await process.wait()
    going.set()
    await nothing_forwards(kubectl)


async def test_a_forward_ends_with_its_block(kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", kubectl.path)

    def ask() -> None:
        with forwarded(InCluster()) as url, Client(url) as client:
            assert "create-client" in client.operations()
        assert not [pid for pid in kubectl.forwards if psutil.pid_exists(pid)]

    await asyncio.to_thread(ask)


async def test_a_url_that_is_given_needs_no_kubectl(installation: Inside, kubectl: FakeKubectl):
    proxy = await installation.proxy()
    listing = ("task", "list", "--url", proxy.url, "-o", "name")
    done = await asyncio.to_thread(run, *listing, kubectl=kubectl)
    assert (done.returncode, done.stderr, kubectl.calls) == (0, "", [])


async def test_help_and_mistakes_ask_no_cluster(kubectl: FakeKubectl):
    for words in (("task", "get", "--help"), ("task", "--help"), ("task", "submit")):
        done = await asyncio.to_thread(run, *words, kubectl=kubectl)
        assert "Usage: kubectl asyncapiproxy task" in done.stdout + done.stderr
        assert "localhost" not in done.stdout
    assert kubectl.calls == []


async def test_the_shell_is_offered_what_the_release_knows(kubectl: FakeKubectl):
    for words, offered in (
        (("operations", "show", ""), "create-client\tCreate a client\n:4\n"),
        (("task", "submit", "-n", "shop", "create-cl"), "create-client\tCreate a client\n:4\n"),
        (("ta",), "task\tSubmit, show and watch tasks through a...\n:4\n"),
        (("task", "submit", "--output", ""), ":0\n"),
    ):
        done = await asyncio.to_thread(run, *words, kubectl=kubectl, program=COMPLETION)
        assert done.stdout.lstrip("\n") == offered
        assert done.stderr == ""
    await nothing_forwards(kubectl)


def refused(folder: Path, refusals: dict[str, str]) -> str:
    """What a command says, which does not come to its proxy."""
    kubectl = fake_kubectl(folder / "bin", found=proxy_objects("demo"), to="", refusals=refusals)
    done = run("task", "list", kubectl=kubectl)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_who_has_no_context_is_told_how_to_name_one(tmp_path: Path):
    unset = {"get": "The connection to the server localhost:8080 was refused", "config": "not set"}
    said = refused(tmp_path, unset)
    assert said.startswith("Error: kubectl has no current context: --context names one")


def test_what_kubectl_says_is_told_without_its_log(tmp_path: Path):
    log = "E1128 23:00:00.000000    1234 memcache.go:265] couldn't get current server API group"
    said = refused(tmp_path, {"get": f'{log}\nerror: context "kind" does not exist'})
    assert said == 'Error: kubectl: error: context "kind" does not exist\n'


@pytest.mark.parametrize("verb", ["get", "port-forward"])
def test_who_may_not_is_told_what_it_takes(tmp_path: Path, verb: str):
    said = refused(tmp_path, {verb: "Error from server (Forbidden): pods is forbidden"})
    assert "kubectl: Error from server (Forbidden): pods is forbidden\n" in said
    assert "rights to list services and pods, and to create pods/portforward" in said


def test_without_kubectl_it_is_told_that_there_is_none(tmp_path: Path):
    done = subprocess.run(
        [PLUGIN, "task", "list"],
        env={**bare_environment(tmp_path), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "Error: kubectl is not on the PATH\n")
