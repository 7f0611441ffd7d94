"""The most memory that a process has while a block runs, by the kernel's own mark."""

from pathlib import Path
from typing import Self

import psutil


class PeakMemory:
    """Enter it when the process is idle."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.idle = self.over_idle = 0

    def __enter__(self) -> Self:
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        self.idle = rss(self._pid)
        return self

    def __exit__(self, *_: object) -> None:
        status = Path(f"/proc/{self._pid}/status").read_text()
        (mark,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        self.over_idle = int(mark) * 1024 - self.idle


def rss(pid: int) -> int:
    return psutil.Process(pid).memory_info().rss
