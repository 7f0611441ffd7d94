"""The processes that other tests run beside themselves: their logs, their ends, their children."""

from pathlib import Path

import psutil
import pytest

from asynctestkit.eventually import eventually
from asynctestkit.process import Process, ProcessStartError

HAS_A_CHILD = "sleep 300 & echo child $!; wait"
TOLD_TO_END = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"


def shell(script: str, folder: Path, *, ready: str = "never said") -> Process:
    return Process(
        *("sh", "-c", script),
        name="shell",
        folder=folder,
        is_ready=lambda process: ready in process.log_of_this_run,
    )


def test_one_that_ends_before_it_is_ready_says_why(tmp_path: Path):
    process = shell("echo broken; exit 3", tmp_path)
    with pytest.raises(ProcessStartError, match="broken"):
        process.start()
    assert process.exit_code == 3


def test_its_log_goes_on_over_restarts_and_each_run_is_ready_by_its_own(tmp_path: Path):
    process = shell("echo run $$", tmp_path, ready="run")
    process.start().wait()
    first = process.log_of_this_run
    process.start().wait()
    assert process.log == first + process.log_of_this_run
    assert first != process.log_of_this_run


def test_it_ends_by_sigterm_with_its_own_exit_code(tmp_path: Path):
    with shell(TOLD_TO_END, tmp_path, ready="ready") as process:
        assert process.exit_code is None
        assert process.stop() == 7
        assert not process.is_running


def test_its_children_are_killed_with_it(tmp_path: Path):
    with shell(HAS_A_CHILD, tmp_path, ready="child") as process:
        child = child_of(process)
    assert not process.is_running
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_its_children_are_suspended_and_resumed_with_it(tmp_path: Path):
    with shell(HAS_A_CHILD, tmp_path, ready="child") as process:
        family = [psutil.Process(process.pid), child_of(process)]

        def are_stopped(expected: bool) -> None:
            assert [one.status() == psutil.STATUS_STOPPED for one in family] == [expected] * 2

        process.suspend()
        await eventually(lambda: are_stopped(True))
        process.resume()
        await eventually(lambda: are_stopped(False))


def test_it_is_given_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASYNCAPIPROXY_PORT", "1")
    process = shell("env", tmp_path, ready="HOME")
    process.start().wait()
    assert "ASYNCAPIPROXY_PORT" not in process.log
    assert f"HOME={tmp_path}" in process.log


def child_of(process: Process) -> psutil.Process:
    return psutil.Process(int(process.log_of_this_run.split()[1]))
