"""CPU time of processes, with the processes and threads that they started."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

ResultT = TypeVar("ResultT")
CpuTimes = dict[str, int]
"""Nanoseconds of user and system time, by the name of a part of the system."""


def cpu_times(parts: Mapping[str, Iterable[int]]) -> CpuTimes:
    """What each part, a name and the roots of its process trees, has used so far."""
    return {name: sum(map(_tree_ns, roots)) for name, roots in parts.items()}


def used(since: CpuTimes, until: CpuTimes) -> CpuTimes:
    """What was used between two readings."""
    return {name: until[name] - since.get(name, 0) for name in until}


def rss_bytes(pid: int) -> int:
    """The resident memory of one process."""
    return int(psutil.Process(pid).memory_info().rss)


def _tree_ns(root: int) -> int:
    """A PostgreSQL backend that ended meanwhile is in its parent's account of ended children."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(root)
        family = [process, *process.children(recursive=True)]
        return sum(_process_ns(member.pid) for member in family)
    return 0


def _process_ns(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        own_ns, children_ns = _ticks(pid)
        # The scheduler's figures are exact but know only the threads that live; the ticks know all.
        return max(_living_threads_ns(pid), own_ns) + children_ns
    return 0


def _living_threads_ns(pid: int) -> int:
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total


def _ticks(pid: int) -> tuple[int, int]:
    """Own time and that of ended children, from `/proc/PID/stat` (fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, children_user, children_system = map(int, fields[11:15])
    return (user + system) * _TICK_NS, (children_user + children_system) * _TICK_NS


def undisturbed(run: Callable[[], ResultT], *, tries: int) -> ResultT:
    """What `run` gives, tried again while others than this benchmark take the machine's CPU."""
    left = tries
    while True:
        left -= 1
        before, busy, began = cpu_times(_OURSELVES), _busy_seconds(), time.monotonic()
        result = run()
        took, ours = time.monotonic() - began, used(before, cpu_times(_OURSELVES))
        others = (_busy_seconds() - busy - sum(ours.values()) / 1e9) / took
        if others < OTHERS_SHARE:
            return result
        print(f"  others took {others:.0%} of a core{', once more:' if left else ' to the last'}")
        if not left:
            return result
        time.sleep(PAUSE_SECONDS)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def wait_until_quiet(parts: Mapping[str, Iterable[int]], *, seconds: float = 30) -> CpuTimes:
    """Return when all parts together use little CPU, or the time is over, with what they used.

    A system may go on with what its callers no longer wait for, and that work is of the run, too.
    """
    deadline = time.monotonic() + seconds
    before, began = cpu_times(parts), time.monotonic()
    while True:
        time.sleep(QUIET_STEP_SECONDS)
        now, at = cpu_times(parts), time.monotonic()
        share = sum(used(before, now).values()) / 1e9 / (at - began)
        if share < QUIET_SHARE or at > deadline:
            return now
        before, began = now, at


PAUSE_SECONDS = 15
OTHERS_SHARE = 0.45
"""Of one core. What is less, the rounds' medians even out."""
_OURSELVES = {"benchmark": [os.getpid()]}
QUIET_STEP_SECONDS = 0.3
QUIET_SHARE = 0.12
"""Of one core. Loops that look for work, and Erlang's schedulers, are never wholly idle."""
