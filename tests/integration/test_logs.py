"""What a process writes to its log, seen from outside it."""

import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import logging, sys, warnings
import structlog
from uuid import UUID
from asynctasks.logs import configure_logging
from asynctasks.task_log import log_task

configure_logging(level=sys.argv[2], log_format=sys.argv[1])
log = structlog.get_logger("ours")
log.debug("fine detail")
structlog.get_logger("asyncproxy.anything").debug("our detail")
logging.getLogger("aiosqlite").debug("a statement and its arguments")
logging.getLogger("a.handler").info("a handler speaks")
log.info("task stored", task_id="one", name="Żółć")
logging.getLogger("a.library").warning("it %s", "speaks")
logging.getLogger("aiormq.connection").error("a lost connection, told by our broker's connection")
logging.getLogger("httpx").info("each call")

def call_upstream(password):
    raise ValueError("no answer")

try:
    call_upstream("correct horse " + "battery staple")
except ValueError:
    log.exception("attempt failed")
    log_task("failed", task_id=UUID(int=1), operation="a", status="failed", attempt=2, principal="")
    logging.getLogger("a.library").exception("theirs failed")
"""


def output(log_format: str, level: str = "info") -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, log_format, level],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


def test_json_is_one_object_a_line_of_ours_and_of_libraries():
    entries: list[dict[str, Any]] = [json.loads(line) for line in output("auto").splitlines()]
    assert [entry["event"] for entry in entries] == [
        "a handler speaks",
        "task stored",
        "it speaks",
        "attempt failed",
        "task failed",
        "theirs failed",
    ]
    assert entries[1]["name"] == "Żółć"
    assert [entry["level"] for entry in entries] == [
        *("info", "info", "warning", "error", "warning", "error")
    ]
    assert all({"timestamp", "logger"} <= set(entry) for entry in entries)
    assert entries[3]["exception"][0]["exc_value"] == "no answer"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_tells_where_and_no_local_variable(log_format: str):
    text = output(log_format)
    assert "call_upstream" in text
    assert "battery staple" not in text
    assert "correct horse battery" not in text


def test_the_level_decides_what_is_written():
    assert "our detail" in output("json", "debug")
    assert "our detail" not in output("json", "info")
    assert "task stored" not in output("json", "warning")
    assert "task failed" in output("json", "warning")
    assert "task failed" not in output("json", "error")


def test_debug_is_ours_alone():
    assert "its arguments" not in output("json", "debug")


@pytest.mark.parametrize(("no_color", "has_colours"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_it_wants_none(no_color: str, *, has_colours: bool):
    shown, terminal = pty.openpty()
    with os.fdopen(shown, "rb") as reader:
        try:
            subprocess.run(
                [sys.executable, "-c", SCRIPT, "auto", "info"],
                stderr=terminal,
                env={**os.environ, "NO_COLOR": no_color},
                check=True,
            )
            text = os.read(reader.fileno(), 100_000).decode()
        finally:
            os.close(terminal)
    assert "task stored" in text
    assert ("\x1b[" in text) is has_colours
    # The time of day, and no date.
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()]
    stored = [line for line in lines if "task stored" in line or "task failed" in line]
    assert len(stored) == 2
    assert all(re.match(r"\d\d:\d\d:\d\d \[", line) for line in stored)


FAULT = """
from asyncapiproxy.process import run

async def main(stop):
    password = "correct horse " + "battery staple"
    raise ValueError("a fault that nobody foresaw")

run(main)
"""


@pytest.mark.parametrize("log_format", ["json", "text", "nonsense"])
def test_a_fault_before_the_settings_are_read_is_logged_without_local_variables(log_format: str):
    done = subprocess.run(
        [sys.executable, "-c", FAULT],
        env={**os.environ, "ASYNCAPIPROXY_LOG_FORMAT": log_format},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "a fault that nobody foresaw" in done.stderr
    assert "battery staple" not in done.stderr
    assert "correct horse" not in done.stderr.replace('password = "correct horse "', "")
    if log_format != "text":
        assert [json.loads(line)["level"] for line in done.stderr.splitlines()] == ["critical"]
