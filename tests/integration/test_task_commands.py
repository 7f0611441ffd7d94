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
RECEIVER = "http://127.0.0.1:9/hook"
"""A callback may go there, and nobody takes it."""
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
        "ASYNCAPIPROXY_CALLBACK_ALLOW": RECEIVER,
        "ASYNCAPIPROXY_CALLBACK_NETWORKS": "127.0.0.0/8",
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
    assert result.stderr.startswith("task 01")
    assert result.stderr.split()[1] in result.stdout


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
    submitted = task("submit", "create-client", email(), "name=Ann", "-o", "json", url=url)
    assert submitted.exit_code == 0
    assert document(submitted)["response"]["body"]["name"] == "Ann"
    got = task("get", document(submitted)["id"], "-o", "json", url=url)
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
        "submit", "create-client", email("slow+0.5"), "name=Sam", "--async", "-o", "json", url=url
    )
    assert accepted.exit_code == 0
    assert not document(accepted)["done"]
    watched = task("watch", document(accepted)["id"], url=url)
    assert watched.exit_code == 0
    assert "● succeeded" in watched.stdout
    again = task("watch", document(accepted)["id"], "-o", "json", url=url)
    assert (again.exit_code, document(again)["status"]) == (0, "succeeded")


def test_a_failed_task_exits_1_and_shows_why(url: str):
    given = ("submit", "create-client", email("fail+418"), "name=Ann")
    result = task(*given, url=url)
    assert result.exit_code == 1
    assert "● failed" in result.stdout
    assert "418 application/problem+json" in result.stdout
    failed = task(*given, "-o", "json", url=url)
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
        "submit",
        "create-client",
        "--arguments",
        "-",
        "name=Bob",
        "-o",
        "json",
        url=url,
        stdin=given,
    )
    assert document(result)["arguments"]["name"] == "Bob"
    assert "password" not in document(result)["arguments"]


def test_an_unknown_operation_exits_2_and_lists_those_there_are(url: str):
    result = task("submit", "create-clint", url=url)
    assert result.exit_code == 2
    assert "no operation 'create-clint'" in result.stderr
    assert "It has: create-client, get-client" in result.stderr


@pytest.mark.parametrize("task_id", [UNKNOWN_ID, "nonsense", "../ping"])
@pytest.mark.parametrize("command", ["get", "watch", "response"])
def test_an_unknown_id_exits_1(url: str, command: str, task_id: str):
    result = task(command, task_id, url=url)
    assert result.exit_code == 1
    assert "(404)" in result.stderr


def test_a_problem_is_a_document_too(url: str):
    result = task("get", UNKNOWN_ID, "-o", "json", url=url)
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
        ("submit", "create-client", "--wait", "inf"),
        ("submit", "create-client", "--delay", "soon"),
        ("submit", "create-client", "--deadline", "2026-01-31T12:00:00"),
        ("submit", "create-client", "--label", "team"),
        ("submit", "create-client", "--priority", "10"),
        ("submit", "create-client", "ann@example.com"),
        ("submit", "create-client", "--arguments", "no such file"),
        ("submit",),
        ("get",),
        ("get", UNKNOWN_ID, "--url", "ftp://proxy"),
        ("redeliver", UNKNOWN_ID, "first"),
        ("redeliver", UNKNOWN_ID, "0"),
    ],
)
def test_wrong_usage_exits_2(url: str, arguments: tuple[str, ...]):
    result = task(*arguments, url=url)
    assert result.exit_code == 2
    assert result.stderr


async def test_ctrl_c_leaves_the_watch_cleanly_and_the_task_alone(url: str):
    submit = ("submit", "create-client", email("slow+60"), "name=Sam", "--async", "-o", "json")
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
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.stderr.readuntil(b"Ctrl-C leaves")
    stderr = await interrupted(process)
    assert process.returncode == 130, stderr.decode()
    assert f"The task goes on: asyncapiproxy task watch {task_id}" in stderr.decode()
    assert b"Traceback" not in stderr
    left_alone = await asyncio.to_thread(task, "get", task_id, "-o", "json", url=url)
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


def test_a_task_is_named_by_how_its_id_begins(url: str):
    given = ("submit", "create-client", "name=Ann", "--async", "-o", "name")
    first, second = (task(*given, email(), url=url).stdout.strip() for _ in range(2))
    length = next(n for n in range(36) if first[:n] != second[:n])
    beginning = second[:length]
    assert task("get", beginning, "-o", "name", url=url).stdout.strip() == second
    assert task("get", beginning.replace("-", "").upper(), "-o", "name", url=url).exit_code == 0
    several = task("get", first[: length - 1], url=url)
    assert several.exit_code == 2
    assert first in several.stderr
    assert second in several.stderr
    none = task("get", "0000", url=url)
    assert none.exit_code == 1
    assert "begins with 0000" in none.stderr


def test_how_a_task_is_to_be_run_is_said_by_options(url: str):
    result = task(
        *("submit", "create-client", email(), "name=Ann", "--async", "-o", "json"),
        *("--delay", "1h", "--deadline", "1d", "--label", "team=a", "--label", "n=1"),
        *("--priority", "7"),
        url=url,
    )
    made = document(result)
    assert (made["labels"], made["priority"]) == ({"team": "a", "n": "1"}, 7)
    assert made["nextAttemptAt"] > made["createdAt"]
    assert made["deadline"] > made["nextAttemptAt"]
    shown = task("get", made["id"], url=url).stdout
    assert "next       in 59m" in shown
    assert "labels     team=a, n=1" in shown
    assert task("cancel", made["id"], url=url).exit_code == 0


async def test_who_is_told_of_an_end_is_listed_and_told_once_more(url: str):
    given = ("submit", "create-client", email(), "name=Ann", "--callback", RECEIVER, "-o", "name")
    task_id = (await asyncio.to_thread(task, *given, url=url)).stdout.strip()

    def tried() -> dict[str, Any]:
        (delivery,) = document(task("deliveries", task_id, "-o", "json", url=url))["deliveries"]
        assert delivery["attempts"]
        return delivery

    delivery = await eventually(lambda: asyncio.to_thread(tried))
    listed = await asyncio.to_thread(task, "deliveries", task_id, url=url)
    assert listed.exit_code == 0
    assert listed.stdout.splitlines()[1].split()[:3] == ["1", "succeeded", "●"]
    assert RECEIVER in listed.stdout
    assert "The receiver" in listed.stdout
    wide = await asyncio.to_thread(task, "deliveries", task_id, "-o", "wide", url=url)
    assert delivery["id"] in wide.stdout.splitlines()[1]

    again = await asyncio.to_thread(task, "redeliver", task_id, "-o", "json", url=url)
    assert again.exit_code == 0, again.output
    assert (document(again)["number"], document(again)["id"]) == (2, delivery["id"])
    # Both are of one id: it is still clear which is meant.
    third = await asyncio.to_thread(task, "redeliver", task_id, "-o", "name", url=url)
    assert (third.exit_code, third.stdout) == (0, "3\n")
    names = await asyncio.to_thread(task, "deliveries", task_id, "-o", "name", url=url)
    assert names.stdout.split() == ["1", "2", "3"]
    none = await asyncio.to_thread(task, "redeliver", task_id, "4", url=url)
    assert none.exit_code == 1
    assert "(404)" in none.stderr


def test_which_delivery_is_meant_has_to_be_clear(url: str):
    given = ("submit", "create-client", email("fail+418"), "name=Ann", "-o", "name")
    nobody = task(*given, url=url).stdout.strip()
    assert task("deliveries", nobody, "-o", "json", url=url).stdout == '{"deliveries":[]}\n'
    refused = task("redeliver", nobody, url=url)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "has no delivery" in refused.stderr
    task_id = task(*given, "--callback", RECEIVER, url=url).stdout.strip()
    # Its end is told once more, as another one.
    assert task("retry", task_id, url=url).exit_code == 0
    assert task("watch", task_id, url=url).exit_code == 1
    several = task("redeliver", task_id, url=url)
    assert several.exit_code == 2
    assert f"  1  failed, {RECEIVER}\n  2  failed, {RECEIVER}" in several.stderr
    assert task("redeliver", task_id, "1", "-o", "name", url=url).stdout == "3\n"
    # What was told once more is no delivery to choose from.
    assert task("redeliver", task_id, url=url).stderr == several.stderr


def test_a_finished_task_is_forgotten(url: str):
    task_id = task(
        "submit", "create-client", email(), "name=Ann", "-o", "name", url=url
    ).stdout.strip()
    assert task("delete", task_id, url=url).exit_code == 0
    assert task("get", task_id, url=url).exit_code == 1
    assert "(404)" in task("delete", task_id, url=url).stderr


def test_operations_are_listed_and_shown(url: str):
    def operations(*words: str) -> Result:
        environment = {"ASYNCAPIPROXY_URL": url, "COLUMNS": "80", "TERM": "dumb"}
        return CliRunner().invoke(app, ["operations", *words], env=environment)

    names = operations("list", "-o", "name").stdout.split()
    assert names == ["create-client", "get-client", "scan", "create-report"]
    assert "POST /clients" in operations("list").stdout
    (first, *_) = json.loads(operations("list", "-o", "json").stdout)
    assert (first["method"], first["path"], first["required"]) == (
        "POST",
        "/clients",
        ["email", "name"],
    )
    shown = [
        " ".join(line.split()) for line in operations("show", "get-client").stdout.splitlines()
    ]
    assert "call GET /clients/{id}" in shown
    assert "id path string" in shown
    assert "asyncapiproxy task submit get-client id=…" in shown
    assert json.loads(operations("show", "scan", "-o", "json").stdout)["contentTypes"]
    unknown = operations("show", "nobody")
    assert unknown.exit_code == 2
    assert "create-client" in unknown.stderr


def test_the_shell_completes_operations_arguments_statuses_and_ids(url: str):
    def offered(*words: str) -> set[str]:
        line = " ".join(("asyncapiproxy", *words))
        environment = {
            "ASYNCAPIPROXY_URL": url,
            "_ASYNCAPIPROXY_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words)),
        }
        return set(
            CliRunner().invoke(app, [], env=environment, prog_name="asyncapiproxy").stdout.split()
        )

    assert offered("ta") == {"task"}
    assert offered("task", "sub") == {"submit"}
    assert offered("task", "submit", "create-") == {"create-client", "create-report"}
    assert offered("task", "submit", "create-client", "na") == {"name="}
    assert offered("task", "list", "--status", "f") == {"failed"}
    given = ("submit", "create-client", email(), "name=Ann", "--async", "-o", "name")
    task_id = task(*given, url=url).stdout.strip()
    assert task_id in offered("task", "get", task_id[:10])
    assert offered("task", "get", "zz") == set()


def test_a_running_task_is_cancelled_and_runs_again_when_retried(url: str):
    given = ("submit", "create-client", email("slow+20"), "name=Sam", "--async", "-o", "json")
    task_id = document(task(*given, url=url))["id"]
    assert task("retry", task_id, url=url).exit_code == 1
    assert task("cancel", task_id, url=url).exit_code == 0
    watched = task("watch", task_id, url=url)
    assert watched.exit_code == 1
    assert "● cancelled" in watched.stdout
    again = task("cancel", task_id, url=url)
    assert again.exit_code == 1
    assert "(409)" in again.stderr
    retried = task("retry", task_id, "-o", "json", url=url)
    assert retried.exit_code == 0
    assert document(retried)["status"] in {"queued", "running"}
    assert task("cancel", task_id, url=url).exit_code == 0


def test_tasks_are_listed_newest_first_in_pages(url: str):
    given = ("submit", "create-client", "name=Ann", "-o", "json")
    first, second = (document(task(*given, email(), url=url))["id"] for _ in range(2))
    page = task("list", "--limit", "1", url=url)
    assert page.exit_code == 0
    assert second in page.stdout
    assert first not in page.stdout
    token = page.stderr.split()[-1]
    assert first in task("list", "--page-token", token, url=url).stdout
    listed = document(task("list", "--status", "failed", "--limit", "5", "-o", "json", url=url))
    assert {it["status"] for it in listed["tasks"]} <= {"failed"}
    for view, is_told in (("summary", False), ("full", True)):
        (it,) = document(task("list", "--limit", "1", "--view", view, "-o", "json", url=url))[
            "tasks"
        ]
        assert ("arguments" in it, "body" in it["response"]) == (is_told, is_told)
    refused = task("list", "--status", "nonsense", url=url)
    assert refused.exit_code == 1
    assert "  status  expected 'queued'" in refused.stderr


def test_the_same_key_joins_the_first_task(url: str):
    given = ("submit", "create-client", email(), "name=Ann", "--key", uuid4().hex, "-o", "json")
    assert document(task(*given, url=url))["id"] == document(task(*given, url=url))["id"]


def test_a_file_is_submitted_as_it_is_and_its_answer_written(url: str, tmp_path: Path):
    scan = bytes(range(256)) * 1_000
    (tmp_path / "a.pdf").write_bytes(scan)
    words = ("--body", str(tmp_path / "a.pdf"), "--output", str(tmp_path / "first.json"))
    found = task("submit", "scan", *words, "-o", "json", url=url)
    assert found.exit_code == 0, found.output
    (file,) = json.loads(found.stdout)["response"]["body"]["files"]
    assert (file["bytes"], file["contentType"]) == (256_000, "application/pdf")
    assert file["sha256"] == hashlib.sha256(scan).hexdigest()

    written = tmp_path / "answer.json"
    task_id = json.loads(found.stdout)["id"]
    assert task("response", task_id, "--output", str(written), url=url).exit_code == 0
    assert json.loads(written.read_bytes()) == {"files": [file]}
    assert (tmp_path / "first.json").read_bytes() == written.read_bytes()
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
