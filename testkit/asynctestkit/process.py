"""One child process: started with a log, waited for, ended.

Whatever tests, the chaos test and the benchmarks run beside themselves is one of these.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from asynctestkit.process_family import kill_family, resume_family, suspend_family

START_SECONDS = 120
"""RabbitMQ needs 5 s on two idle cores; a busy machine much longer."""
STOP_SECONDS = 40
"""Longer than the longest drain: a process that takes more does not end by SIGTERM."""
POLL_SECONDS = 0.02
LOG_TAIL = 6_000


class ProcessStartError(RuntimeError):
    """A process ended, or was not ready in time; the text ends with its log."""


class Process:
    """A command, the process that runs it, and its log in a file that outlives restarts.

    The process also ends when the thread that launched it does, however that ends (Linux's parent
    death signal). So launch one that outlives a test from the main thread.
    """

    def __init__(
        self,
        *command: str,
        name: str,
        folder: Path,
        is_ready: Callable[["Process"], bool],
        environment: Mapping[str, str] | None = None,
        url: str = "",
        user: pwd.struct_passwd | None = None,
        within: Sequence[str] = (),
    ) -> None:
        """`within` is the start of a command that runs the rest somewhere else."""
        self.name = name
        self.url = url
        self.log_file = folder / f"{name}.log"
        # In this order, because a change of user clears the parent death signal.
        self._command = [*within, *as_user(user), *_ending_with_us(), *command]
        self._folder = folder
        self._environment = {**bare_environment(folder), **(environment or {})}
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def launch(self) -> Self:
        """Start the process; several that are launched before they are waited for start at once."""
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who end all in our own order
            )
        return self

    def wait_until_ready(self) -> Self:
        """Raises ProcessStartError."""
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(self):
            if not self.is_running or time.monotonic() > deadline:
                raise ProcessStartError(f"{self.name} is not ready:\n{self.log_tail}")
            time.sleep(POLL_SECONDS)
        return self

    def start(self) -> Self:
        """Return when the process can be used; raises ProcessStartError."""
        return self.launch().wait_until_ready()

    def signal(self, number: signal.Signals) -> None:
        """Send the signal, without waiting for what comes of it."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit code of a process that ends by itself, or on a signal sent before."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> int:
        """SIGTERM, as Kubernetes ends a pod; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL to it and all below it, as when memory is out; returns when they are gone."""
        if self._process is not None and self.is_running:
            kill_family(self._process.pid)
            self._process.wait(STOP_SECONDS)

    def suspend(self) -> None:
        """SIGSTOP to it and all below it: connections stay open, and nothing answers on them."""
        suspend_family(self.pid)

    def resume(self) -> None:
        """SIGCONT to it and all below it."""
        resume_family(self.pid)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What all runs wrote to standard output and standard error."""
        return self._log_from(0)

    @property
    def log_of_this_run(self) -> str:
        return self._log_from(self._log_start)

    @property
    def log_tail(self) -> str:
        """The end of this run's log, for a message."""
        return self.log_of_this_run[-LOG_TAIL:]

    def _log_from(self, start: int) -> str:
        with suppress(FileNotFoundError), self.log_file.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")
        return ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


def bare_environment(home: Path) -> dict[str, str]:
    """Nothing of the environment of whoever runs the tests can change what they prove."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def as_user(user: pwd.struct_passwd | None) -> list[str]:
    """The start of a command that runs the rest as this user, in the same process."""
    if user is None:
        return []
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _ending_with_us() -> list[str]:
    """The start of a command that the kernel kills when we die (on Linux)."""
    return ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
