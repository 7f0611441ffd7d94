"""What our own servers have in common: a folder, processes, a start, an end."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from asynctestkit.process import Process, bare_environment
from asynctestkit.servers.other_root import entering, other_root


class ServerProgramMissingError(RuntimeError):
    """A server's program is not on this machine; the text says what to install."""


class ServerCommandError(RuntimeError):
    """A server's command failed; the text ends with what it printed."""


class PrivateServer(ABC):
    """A server of our own: `with` starts it and leaves nothing of it behind.

    Its processes also end with the thread that called `start`: see Process.
    """

    _graceful_signal = signal.SIGTERM

    def __init__(self, *, kind: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"asyncapiproxy-{kind}-"))
        self._within = entering(other_root())
        self._processes: list[Process] = []
        """The server itself is the last one."""
        atexit.register(self.close)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect; the same after a restart."""

    @abstractmethod
    def _launch(self) -> Iterator[Process]:
        """What is started, each once the one before serves."""

    @property
    def is_running(self) -> bool:
        return bool(self._processes) and self._processes[-1].is_running

    def start(self) -> None:
        """Return once clients are served, with the data of the run before."""
        if self.is_running:
            return
        self.kill()
        try:
            for process in self._launch():
                self._processes.append(process)
                process.start()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the server to end in good order, as a restart for maintenance would."""
        if self.is_running:
            self._processes[-1].signal(self._graceful_signal)
            self._processes[-1].wait()
        self.kill()

    def kill(self) -> None:
        """SIGKILL to all its processes, as an out-of-memory kill. They are gone then."""
        while self._processes:
            self._processes.pop().kill()

    @contextmanager
    def frozen(self) -> Generator[None]:
        """SIGSTOP: its connections stay open, and nothing answers on them."""
        with ExitStack() as stack:
            for process in self._processes:
                stack.callback(process.resume)
                process.suspend()
            yield

    def close(self) -> None:
        """Kill the server and remove its data."""
        atexit.unregister(self.close)
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, *command: str, environment: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self._within, *command],
            env=bare_environment(self._folder) | (environment or {}),
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerCommandError(f"{command} failed:\n{done.stdout}")
        return done.stdout


def find_program(
    name: str, *, package: str, first_in: Sequence[Path] = (), variable: str = ""
) -> Path:
    """Searches the folders, then the PATH; in another release's root only there.

    `variable` is where a server of another machine could be named, if it could.

    Raises rather than skips: a test that did not run proves nothing.
    """
    root = other_root() or Path("/")
    folders = [*map(str, first_in), *os.environ["PATH"].split(os.pathsep)]
    inside = [f"{root}{folder}" for folder in folders] if root != Path("/") else folders
    found = shutil.which(name, path=os.pathsep.join(inside))
    if found is None:
        or_name_one = f", or, for tests that only use a server, name one in {variable}"
        raise ServerProgramMissingError(
            f"`{name}` is not on this machine: install it (Debian: apt-get install {package})"
            + (or_name_one if variable else "")
        )
    return Path("/") / Path(found).relative_to(root)
