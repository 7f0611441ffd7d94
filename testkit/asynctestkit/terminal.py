"""A command in a terminal of its own, as a person has it: its size, its keys, what it shows."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from asynctestkit.process import bare_environment

_SEQUENCES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
READ_BYTES = 65_536


class Terminal:
    """Runs the command until the block ends. Not for asyncio: reading waits."""

    def __init__(
        self, command: Sequence[str], *, folder: Path, columns: int, environment: Mapping[str, str]
    ) -> None:
        self._command = command
        self._folder = folder
        self._columns = columns
        self._environment = {**bare_environment(folder), "TERM": "xterm", **environment}
        self._screen = -1
        self._process: subprocess.Popen[bytes] | None = None
        self.output = ""

    def __enter__(self) -> Self:
        self._screen, keyboard = pty.openpty()
        self._set_size()
        self._process = subprocess.Popen(
            self._command,
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            env=self._environment,
            cwd=self._folder,
            start_new_session=True,
            # Its keys are its own, Ctrl-C among them.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - it starts no thread
        )
        os.close(keyboard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        os.close(self._screen)

    @property
    def lines(self) -> list[str]:
        """What was shown, without what steers the terminal; lines drawn over are there as well."""
        return re.split(r"[\r\n]+", _SEQUENCES.sub("", self.output))

    def wait_for(self, text: str) -> None:
        """Return once it has shown the text; raises EOFError where it ends before."""
        while text not in _SEQUENCES.sub("", self.output):
            self._read()

    def press(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def resize(self, columns: int) -> None:
        assert self._process is not None
        self._columns = columns
        self._set_size()
        self._process.send_signal(signal.SIGWINCH)

    def wait(self) -> int:
        """The exit code, once all that it shows is read."""
        assert self._process is not None
        while True:
            try:
                self._read()
            except EOFError:
                return self._process.wait()

    def _read(self) -> None:
        try:
            read = os.read(self._screen, READ_BYTES)
        except OSError:  # Linux's way to say that nobody holds the other end
            read = b""
        if not read:
            raise EOFError(self.output)
        self.output += read.decode(errors="replace")

    def _set_size(self) -> None:
        size = struct.pack("HHHH", 50, self._columns, 0, 0)
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, size)
