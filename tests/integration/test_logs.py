"""What a process writes to its log, seen from outside it."""

import json
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import logging, sys, warnings
import structlog
from asynctasks.logs import configure_logging

configure_logging(level=sys.argv[2], log_format=sys.argv[1])
log = structlog.get_logger("ours")
log.debug("fine detail")
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
        "task stored",
        "it speaks",
        "attempt failed",
        "theirs failed",
    ]
    assert entries[0]["name"] == "Żółć"
    assert [entry["level"] for entry in entries] == ["info", "warning", "error", "error"]
    assert all({"timestamp", "logger"} <= set(entry) for entry in entries)
    assert entries[2]["exception"][0]["exc_value"] == "no answer"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_tells_where_and_no_local_variable(log_format: str):
    text = output(log_format)
    assert "call_upstream" in text
    assert "battery staple" not in text
    assert "correct horse battery" not in text


def test_the_level_decides_what_is_written():
    assert "fine detail" in output("json", "debug")
    assert "task stored" not in output("json", "warning")
