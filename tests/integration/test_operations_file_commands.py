"""`asyncapiproxy operations check` and `schema`, which ask no proxy.

In processes of their own: a command configures the logs of its process.
"""

import json
import subprocess
from pathlib import Path

import pytest

from asynctestkit.process import bare_environment
from asynctestkit.processes import COMMAND

FILE = """\
operations:
  send-invoice:
    route: POST /invoices
    queue: invoices
    limits: [billing]
    upstream: {url: "{BILLING_URL}/invoices"}
limits:
  billing: {concurrency: 4}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "operations.yaml"
    file.write_text(FILE)
    return file


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "operations", *map(str, words)],
        env={**bare_environment(Path.home()), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_good_file_is_told_with_what_it_serves(file: Path):
    checked = run("check", file)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == (
        f"{file}: can be used\n  send-invoice: POST /invoices, queue invoices, limits billing\n"
    )


def test_all_that_is_wrong_is_told_by_line_with_what_was_meant(file: Path):
    file.write_text(FILE.replace("queue:", "queues:").replace("concurrency: 4", "concurrency: 0"))
    checked = run("check", file)
    assert (checked.returncode, checked.stdout) == (1, "")
    assert f"{file}:4: operations.send-invoice.queues: unknown key; expected one of" in (
        checked.stderr
    )
    assert "did you mean queue?" in checked.stderr
    assert f"{file}:8: limits.billing.concurrency: " in checked.stderr


def test_what_an_executor_would_lack_is_told_where_that_is_asked_for(file: Path):
    checked = run("check", file, "--run", BILLING_URL="")
    assert checked.returncode == 1
    assert "operations.send-invoice.upstream.url" in checked.stderr
    assert "BILLING_URL" in checked.stderr
    assert run("check", file, "--run", BILLING_URL="http://billing").returncode == 0


@pytest.mark.parametrize("content", [None, b"\xff", b"operations: ["])
def test_what_is_no_such_file_is_told(tmp_path: Path, content: bytes | None):
    file = tmp_path / "operations.yaml"
    if content is not None:
        file.write_bytes(content)
    checked = run("check", file)
    assert checked.returncode == 1
    assert str(file) in checked.stderr
    assert "Traceback" not in checked.stderr


def test_the_schema_is_printed_as_json():
    printed = run("schema")
    assert printed.returncode == 0
    assert set(json.loads(printed.stdout)["properties"]) == {"operations", "limits", "callbacks"}
