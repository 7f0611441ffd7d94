"""`asyncapiproxy task …` against a real `asyncapiproxy up`."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from asyncapiproxy.main import app
from asynctestkit.eventually import PATIENCE_SECONDS, eventually

COMMAND = str(Path(sys.executable).with_name("asyncapiproxy"))
UNKNOWN_ID = "01a20d2b-c3ed-76f0-8622-758cfbed0d1d"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A proxy that waits for 1 s at most, so that `--wait` has to go on by itself."""
    folder = tmp_path_factory.mktemp("up")
    log = folder / "log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ASYNCAPIPROXY_")}
    environment |= {
        "ASYNCAPIPROXY_MAX_WAIT_SECONDS": "1",
        "ASYNCAPIPROXY_DRAIN_SECONDS": "0",
        "ASYNCAPIPROXY_LOG_FORMAT": "json",
    }
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [COMMAND, "up", "--port", "0", "--data", str(folder / "data")],
            env=environment,
            stderr=stream,
        )

    def listens() -> str:
        if process.poll() is not None:
            pytest.fail(log.read_text())
        events = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        found = [event["url"] for event in events if event["event"] == "proxy listens"]
        assert found, log.read_text()
        return found[0]

    try:
        yield asyncio.run(eventually(listens))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_SECONDS) == 0


def task(*arguments: str, url: str, stdin: str | None = None) -> Result:
    environment = {"ASYNCAPIPROXY_URL": url, "COLUMNS": "80", "TERM": "dumb"}
    return CliRunner().invoke(app, ["task", *arguments], env=environment, input=stdin)


def email(behaviour: str = "ann") -> str:
    """A client that nobody has created yet."""
    return f"email={behaviour}.{uuid4().hex[:8]}@example.com"


def document(result: Result) -> dict[str, Any]:
    """The whole of stdout, which is one JSON document."""
    return json.loads(result.stdout)


def test_a_fast_task_shows_its_answer_and_exits_0(url: str):
    result = task("submit", "create-client", email(), "name=Ann", url=url)
    assert result.exit_code == 0
    assert "● succeeded" in result.stdout
    assert "201 application/json" in result.stdout
    assert '"name": "Ann"' in result.stdout
    assert result.stderr == ""


def test_a_password_reaches_the_upstream_and_is_never_shown(url: str):
    given = ("submit", "create-client", email(), "name=Ann")
    accepted = task(*given, f"password={PASSWORD}", url=url)
    assert accepted.exit_code == 0
    assert PASSWORD not in accepted.output
    refused = task(*given, "password=hunter2", url=url)
    assert refused.exit_code == 1
    assert "/password" in refused.stderr
    assert "hunter2" not in refused.output


def test_json_is_the_raw_document_and_nothing_else(url: str):
    submitted = task("submit", "create-client", email(), "name=Ann", "--json", url=url)
    assert submitted.exit_code == 0
    assert document(submitted)["response"]["body"]["name"] == "Ann"
    got = task("get", document(submitted)["id"], "--json", url=url)
    assert got.stdout == submitted.stdout
    assert got.stderr == submitted.stderr == ""


def test_wait_goes_on_after_the_proxys_own_window(url: str):
    began = time.monotonic()
    result = task("submit", "create-client", email("slow+1.5"), "name=Sam", "--wait", "20", url=url)
    assert result.exit_code == 0
    assert "● succeeded" in result.stdout
    assert 1.5 <= time.monotonic() - began < 15


def test_a_wait_that_ends_too_early_exits_3_and_says_how_to_go_on(url: str):
    result = task("submit", "create-client", email("slow+20"), "name=Sam", "--wait", "0", url=url)
    assert result.exit_code == 3
    assert "● queued" in result.stdout or "● running" in result.stdout
    assert "asyncapiproxy task watch " in result.stderr


def test_async_exits_0_at_once_and_watch_shows_the_end(url: str):
    accepted = task(
        "submit", "create-client", email("slow+0.5"), "name=Sam", "--async", "--json", url=url
    )
    assert accepted.exit_code == 0
    assert not document(accepted)["done"]
    watched = task("watch", document(accepted)["id"], url=url)
    assert watched.exit_code == 0
    assert "● succeeded" in watched.stdout
    again = task("watch", document(accepted)["id"], "--json", url=url)
    assert (again.exit_code, document(again)["status"]) == (0, "succeeded")


def test_a_failed_task_exits_1_and_shows_why(url: str):
    given = ("submit", "create-client", email("fail+418"), "name=Ann")
    result = task(*given, url=url)
    assert result.exit_code == 1
    assert "● failed" in result.stdout
    assert "418 application/problem+json" in result.stdout
    failed = task(*given, "--json", url=url)
    assert failed.exit_code == 1
    assert task("watch", document(failed)["id"], url=url).exit_code == 1
    assert task("get", document(failed)["id"], url=url).exit_code == 0


def test_what_is_missing_is_told_field_by_field(url: str):
    result = task("submit", "create-client", "email=ann", "age=7", url=url)
    assert result.exit_code == 1
    assert "The arguments are not valid (422)" in result.stderr
    assert '"name" is a required property' in result.stderr
    assert "/email  " in result.stderr
    assert result.stdout == ""


def test_arguments_may_come_from_stdin_and_those_typed_win(url: str):
    given = json.dumps({"email": email().partition("=")[2], "name": "Ann", "password": PASSWORD})
    result = task(
        "submit", "create-client", "--arguments", "-", "name=Bob", "--json", url=url, stdin=given
    )
    assert document(result)["arguments"]["name"] == "Bob"
    assert "password" not in document(result)["arguments"]


def test_an_unknown_operation_exits_2_and_lists_those_there_are(url: str):
    result = task("submit", "create-clint", url=url)
    assert result.exit_code == 2
    assert "no operation 'create-clint'" in result.stderr
    assert "create-client  Create a client in the Customer API" in result.stderr


@pytest.mark.parametrize("task_id", [UNKNOWN_ID, "nonsense", "../ping"])
@pytest.mark.parametrize("command", ["get", "watch"])
def test_an_unknown_id_exits_1(url: str, command: str, task_id: str):
    result = task(command, task_id, url=url)
    assert result.exit_code == 1
    assert "(404)" in result.stderr


def test_a_problem_is_a_document_too(url: str):
    result = task("get", UNKNOWN_ID, "--json", url=url)
    assert result.exit_code == 1
    assert document(result)["type"].endswith("/task-not-found")
    assert result.stderr == ""


def test_no_proxy_exits_2_and_says_how_to_start_one():
    result = task("get", UNKNOWN_ID, url="http://127.0.0.1:1")
    assert result.exit_code == 2
    assert "No proxy answers at http://127.0.0.1:1" in result.stderr
    assert "asyncapiproxy up" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "create-client", "--wait", "3", "--async"),
        ("submit", "create-client", "--wait", "-1"),
        ("submit", "create-client", "ann@example.com"),
        ("submit", "create-client", "--arguments", "no such file"),
        ("submit",),
        ("get",),
        ("get", UNKNOWN_ID, "--url", "ftp://proxy"),
    ],
)
def test_wrong_usage_exits_2(url: str, arguments: tuple[str, ...]):
    result = task(*arguments, url=url)
    assert result.exit_code == 2
    assert result.stderr


async def test_ctrl_c_leaves_the_watch_cleanly_and_the_task_alone(url: str):
    submit = ("submit", "create-client", email("slow+60"), "name=Sam", "--async", "--json")
    task_id = document(await asyncio.to_thread(task, *submit, url=url))["id"]
    # With an environment of a terminal Rich draws at once, so there is something to wait for.
    environment = os.environ | {
        "ASYNCAPIPROXY_URL": url,
        "FORCE_COLOR": "1",
        "TTY_COMPATIBLE": "1",
        # One that does not end tells by what it is held.
        "PYTHONFAULTHANDLER": "1",
    }
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *("task", "watch", task_id),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.stdout.readuntil(b"Ctrl-C leaves")
    stderr = await interrupted(process)
    assert process.returncode == 130, stderr.decode()
    assert b"Traceback" not in stderr
    left_alone = await asyncio.to_thread(task, "get", task_id, "--json", url=url)
    assert document(left_alone)["done"] is False
    await asyncio.to_thread(task, "cancel", task_id, url=url)


async def interrupted(process: asyncio.subprocess.Process) -> bytes:
    """What it says on stderr until it ends by Ctrl-C.

    Pressed once more if need be: Python loses one that comes while it runs a finalizer.
    """
    ending = asyncio.ensure_future(process.communicate())
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        done, _ = await asyncio.wait([ending], timeout=7)
        if done:
            break
    else:
        process.send_signal(signal.SIGABRT)
    _, stderr = await ending
    return stderr


@pytest.mark.parametrize(
    "command", [(), ("submit",), ("get",), ("watch",), ("cancel",), ("retry",)]
)
def test_help_tells_the_exit_codes(command: tuple[str, ...]):
    text = " ".join(task(*command, "--help", url="").stdout.split())
    assert "130" in text or "Exits with 0" in text


def test_the_services_commands_are_there_too():
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).stdout
    for command in ("up", "proxy", "executor", "migrate", "demo-api", "sealing-key", "task"):
        assert f"│ {command}" in listed


def test_a_running_task_is_cancelled_and_runs_again_when_retried(url: str):
    given = ("submit", "create-client", email("slow+20"), "name=Sam", "--async", "--json")
    task_id = document(task(*given, url=url))["id"]
    assert task("retry", task_id, url=url).exit_code == 1
    assert task("cancel", task_id, url=url).exit_code == 0
    watched = task("watch", task_id, url=url)
    assert watched.exit_code == 1
    assert "● cancelled" in watched.stdout
    again = task("cancel", task_id, url=url)
    assert again.exit_code == 1
    assert "(409)" in again.stderr
    retried = task("retry", task_id, "--json", url=url)
    assert retried.exit_code == 0
    assert document(retried)["status"] in {"queued", "running"}
    assert task("cancel", task_id, url=url).exit_code == 0


def test_tasks_are_listed_newest_first_in_pages(url: str):
    given = ("submit", "create-client", "name=Ann", "--json")
    first, second = (document(task(*given, email(), url=url))["id"] for _ in range(2))
    page = task("list", "--limit", "1", url=url)
    assert page.exit_code == 0
    assert second in page.stdout
    assert first not in page.stdout
    token = page.stderr.split()[-1]
    assert first in task("list", "--page-token", token, url=url).stdout
    listed = document(task("list", "--status", "failed", "--limit", "5", "--json", url=url))
    assert {it["status"] for it in listed["tasks"]} <= {"failed"}
    refused = task("list", "--status", "nonsense", url=url)
    assert refused.exit_code == 1
    assert "  status  expected 'queued'" in refused.stderr


def test_the_same_key_joins_the_first_task(url: str):
    given = ("submit", "create-client", email(), "name=Ann", "--key", uuid4().hex, "--json")
    assert document(task(*given, url=url))["id"] == document(task(*given, url=url))["id"]


def test_a_file_is_submitted_as_it_is_and_its_answer_written(url: str, tmp_path: Path):
    scan = bytes(range(256)) * 1_000
    (tmp_path / "a.pdf").write_bytes(scan)
    found = task("submit", "scan", "--body", str(tmp_path / "a.pdf"), "--json", url=url)
    assert found.exit_code == 0, found.output
    (file,) = json.loads(found.stdout)["response"]["body"]["files"]
    assert (file["bytes"], file["contentType"]) == (256_000, "application/pdf")
    assert file["sha256"] == hashlib.sha256(scan).hexdigest()

    written = tmp_path / "answer.json"
    task_id = json.loads(found.stdout)["id"]
    assert task("response", task_id, "--output", str(written), url=url).exit_code == 0
    assert json.loads(written.read_bytes()) == {"files": [file]}
    assert task("response", task_id, url=url).stdout == written.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("scan",), "takes a body of application/pdf, image/*, multipart/form-data"),
        (("scan", "--body", "no-such-file.pdf"), "No such file"),
        (("scan", "--body", "no-ending"), "--content-type"),
        (("create-client", "--body", "a.pdf"), "takes no --body"),
        (("scan", "a=1", "--body", "-", "--content-type", "image/png"), "has no argument a"),
    ],
)
def test_a_body_that_does_not_fit_is_wrong_usage(url: str, arguments: tuple[str, ...], told: str):
    refused = task("submit", *arguments, url=url)
    assert refused.exit_code == 2
    assert told in " ".join(refused.output.split())


def test_a_type_that_is_not_taken_is_the_proxys_to_tell(url: str, tmp_path: Path):
    (tmp_path / "a.txt").write_text("text")
    refused = task("submit", "scan", "--body", str(tmp_path / "a.txt"), url=url)
    assert refused.exit_code == 1
    assert "text/plain" in refused.output


def test_an_answer_that_is_not_there_is_a_problem(url: str):
    refused = task("response", UNKNOWN_ID, url=url)
    assert refused.exit_code == 1
    assert UNKNOWN_ID in refused.output
