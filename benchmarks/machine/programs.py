"""Starts the programs that are measured, each with a log, and ends them with us."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil

from asynctestkit.ports import free_port, is_listening
from asynctestkit.process import ending_with_us
from asynctestkit.servers import PrivateServer

START_SECONDS = 60
STOP_SECONDS = 20


class ProgramStartError(RuntimeError):
    """A program ended, or did not serve in time; the text ends with its log."""


class Program:
    """One process (and its children); `with` starts it and leaves nothing of it behind."""

    def __init__(
        self,
        *command: str,
        name: str,
        folder: Path,
        port: int | None = None,
        ready_text: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self._ready_text = ready_text
        self._command = [*ending_with_us(), *command]
        self._folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            **(environment or {}),
        }
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started; it may have children."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it serves, if it has a port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> Self:
        """Return when it serves: its port answers, or its log holds the text."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ProgramStartError(f"{self.name} does not serve:\n{self.log[-4000:]}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """Ask it to end, and end it and its children if it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        children = psutil.Process(self.pid).children(recursive=True)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        for child in children:
            if child.is_running():
                child.kill()

    def _is_ready(self) -> bool:
        if self.port is not None:
            return is_listening(self.port)
        return self._ready_text in self.log

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def module(name: str, folder: Path, environment: Mapping[str, str]) -> Program:
    """A module of ours, which says `ready` when it is."""
    return Program(
        *(sys.executable, "-m", name),
        name="worker",
        folder=folder,
        ready_text="ready",
        environment=environment,
    )


def uvicorn(app: str, *, name: str, folder: Path, environment: Mapping[str, str]) -> Program:
    """An application as the proxy of AsyncApiProxy is served: uvloop, httptools, no access log."""
    port = free_port()
    options = ["--port", str(port), "--no-access-log", "--log-level", "warning", "--backlog=2048"]
    return Program(
        *(sys.executable, "-m", "uvicorn", "--no-server-header", *options, app),
        name=name,
        folder=folder,
        port=port,
        environment=environment,
    )


def redis_server(folder: Path) -> Program | None:
    """A private Redis that keeps nothing on disk; None where the machine has none."""
    if shutil.which("redis-server") is None:
        return None
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return Program("redis-server", *options, name="redis", folder=folder, port=port)


def server_pids(server: PrivateServer) -> list[int]:
    """The processes that starting the server adds to ours."""
    before = {child.pid for child in psutil.Process().children()}
    server.start()
    return [child.pid for child in psutil.Process().children() if child.pid not in before]
