"""One of our own processes, ended, started again and looked after as Kubernetes would."""

import signal
import subprocess
import time
from dataclasses import dataclass

import psutil

from asynctestkit.processes import Service, has_logged


@dataclass(frozen=True)
class Death:
    """A process that ended though nobody had asked for it."""

    service: str
    at: float
    exit_code: int
    was_ready: bool
    last_lines: str


class Supervised:
    """A service that is wanted or not, suspended or not, and whose death is noticed."""

    def __init__(self, service: Service, *, sign: str) -> None:
        self.process = service
        self.name = service.name
        self.is_wanted = False
        """Whether it should be running; False while a fault keeps it down."""
        self.is_suspended = False
        """Whether a SIGSTOP holds it."""
        self._has_said_so = has_logged(event=sign)
        self._was_ready = False

    @property
    def is_ready(self) -> bool:
        """Whether it runs, and has said in its log that it serves."""
        return self.process.is_running and self._has_been_ready()

    @property
    def rss(self) -> int:
        """Bytes of memory, of which none is shared that matters."""
        try:
            return psutil.Process(self.process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return 0

    def start(self) -> None:
        self.process.launch()
        self.is_wanted, self.is_suspended, self._was_ready = True, False, False

    def kill(self) -> None:
        self.is_wanted = False
        self.process.kill()

    def terminate(self) -> int | None:
        """The exit code after SIGTERM; None where it had to be killed after all."""
        self.is_wanted = False
        self.process.signal(signal.SIGTERM)
        try:
            return self.process.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            return None

    def suspend(self) -> None:
        if self.process.is_running:
            self.process.suspend()
            self.is_suspended = True

    def resume(self) -> None:
        if self.is_suspended and self.process.is_running:
            self.process.resume()
        self.is_suspended = False

    def death(self) -> Death | None:
        """Told once of a run that ended by itself; the service counts as down from then on."""
        exit_code = self.process.exit_code
        if not self.is_wanted or exit_code is None:
            return None
        self.is_wanted = False
        return Death(
            self.name, time.time(), exit_code, self._has_been_ready(), self.process.log_tail
        )

    def exceptions(self) -> list[str]:
        """The lines of the whole log that hold a traceback."""
        return [line for line in self.process.log.splitlines() if '"exception":' in line]

    def _has_been_ready(self) -> bool:
        self._was_ready = self._was_ready or self._has_said_so(self.process)
        return self._was_ready
