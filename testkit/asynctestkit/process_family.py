"""A process and all below it, killed, suspended and resumed as one."""

import time
from contextlib import suppress

import psutil

KILL_SECONDS = 40
POLL_SECONDS = 0.02


def kill_family(pid: int) -> None:
    """SIGKILL; returns once all are gone."""
    victims = _suspended(pid)
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    deadline = time.monotonic() + KILL_SECONDS
    while not all(map(_is_dead, victims)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"still there after SIGKILL: {victims}")
        time.sleep(POLL_SECONDS)


def suspend_family(pid: int) -> None:
    """SIGSTOP."""
    for member in _suspended(pid):
        with suppress(psutil.NoSuchProcess):
            member.suspend()


def resume_family(pid: int) -> None:
    """SIGCONT; to those that are still there."""
    with suppress(psutil.NoSuchProcess):
        for member in _family(pid):
            with suppress(psutil.NoSuchProcess):
                member.resume()


def _suspended(pid: int) -> list[psutil.Process]:
    """The family, its root stopped so that it starts no further child."""
    psutil.Process(pid).suspend()
    return _family(pid)


def _family(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _is_dead(process: psutil.Process) -> bool:
    # A zombie is dead; who should collect it (a container's process 1) may never do so.
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
