"""The programs that are measured, and when each is ready."""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from asynctestkit.ports import free_port, is_listening
from asynctestkit.process import Process
from asynctestkit.servers import PrivateServer

IsReady = Callable[[Process], bool]


def listens(port: int) -> IsReady:
    """Ready when somebody accepts connections on the port."""
    return lambda _: is_listening(port)


def has_written(text: str) -> IsReady:
    """Ready when the log holds the text."""
    return lambda process: text in process.log_of_this_run


def module(name: str, folder: Path, environment: Mapping[str, str]) -> Process:
    """A worker that is a module, and says `ready` when it is."""
    return Process(
        *(sys.executable, "-m", name),
        name="worker",
        folder=folder,
        is_ready=has_written("ready"),
        environment=environment,
    )


def uvicorn(app: str, *, name: str, folder: Path, environment: Mapping[str, str]) -> Process:
    """An application as the proxy of AsyncApiProxy is served: uvloop, httptools, no access log."""
    port = free_port()
    options = ["--port", str(port), "--no-access-log", "--log-level", "warning", "--backlog=2048"]
    return Process(
        *(sys.executable, "-m", "uvicorn", "--no-server-header", *options, app),
        name=name,
        folder=folder,
        is_ready=listens(port),
        environment=environment,
        url=f"http://127.0.0.1:{port}",
    )


def redis_server(folder: Path) -> Process | None:
    """A private Redis that keeps nothing on disk; None where the machine has none."""
    if shutil.which("redis-server") is None:
        return None
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return Process(
        *("redis-server", *options),
        name="redis",
        folder=folder,
        is_ready=listens(port),
        url=f"redis://127.0.0.1:{port}",
    )


def server_pids(server: PrivateServer) -> list[int]:
    """The processes that starting the server adds to ours."""
    before = {child.pid for child in psutil.Process().children()}
    server.start()
    return [child.pid for child in psutil.Process().children() if child.pid not in before]
