"""One of our own processes, started, ended and looked after as Kubernetes would."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from asynctestkit.servers import ending_with_us

READY_SECONDS = 60
END_SECONDS = 45
"""Longer than the longest drain: a process that takes more does not end by SIGTERM."""
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Death:
    """A process that ended though nobody had asked for it."""

    service: str
    at: float
    exit_code: int
    was_ready: bool
    last_lines: str


class Service:
    """A command that says in its log when it is ready; the log goes on over restarts."""

    def __init__(
        self, name: str, command: list[str], *, environment: Mapping[str, str], log: Path, sign: str
    ) -> None:
        self.name = name
        self.log = log
        self._command = [*ending_with_us(), *command]
        self._environment = environment
        self._sign = sign.encode()
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self.is_wanted = False
        """Whether it should be running; False while a fault keeps it down."""
        self.is_stopped = False
        """Whether a SIGSTOP holds it."""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process else None

    @property
    def is_ready(self) -> bool:
        """Whether this run of it has said so."""
        return self.pid is not None and self._has_said(self._sign)

    @property
    def rss(self) -> int:
        """Bytes of memory, of which none is shared that matters."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).memory_info().rss if self.pid else 0
        return 0

    def start(self) -> None:
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the test, which ends all in its own order
            )
        self.is_wanted, self.is_stopped = True, False

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_ready:
            if self.pid is None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.last_lines()}")
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        self.is_wanted = False
        if self._process is not None:
            self._process.kill()
            self._process.wait(END_SECONDS)

    def ask_to_end(self) -> None:
        self.is_wanted = False
        if self._process is not None:
            self._process.terminate()

    def wait_end(self) -> int | None:
        """Its exit code after `ask_to_end`; None where it had to be killed after all."""
        if self._process is None:
            return None
        try:
            return self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def suspend(self) -> None:
        if self.pid is not None:
            os.kill(self.pid, signal.SIGSTOP)
            self.is_stopped = True

    def resume(self) -> None:
        if self.is_stopped and self.pid is not None:
            os.kill(self.pid, signal.SIGCONT)
        self.is_stopped = False

    def death(self) -> Death | None:
        """Told once a run that ended by itself; the service counts as down from then on."""
        if not self.is_wanted or self._process is None or self._process.poll() is None:
            return None
        self.is_wanted = False
        return Death(
            self.name,
            time.time(),
            self._process.returncode,
            self._has_said(self._sign),
            self.last_lines(),
        )

    def last_lines(self) -> str:
        text = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        return text[-3_000:]

    def exceptions(self) -> list[str]:
        """The lines of the whole log that hold a traceback."""
        with self.log.open(errors="replace") as log:
            return [line.strip() for line in log if '"exception":' in line]

    def _has_said(self, sign: bytes) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return sign in log.read(200_000)
