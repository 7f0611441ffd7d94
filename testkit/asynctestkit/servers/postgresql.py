"""A PostgreSQL of our own."""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from asynctestkit.ports import free_port
from asynctestkit.process import Process, as_user
from asynctestkit.servers.other_root import found_inside, other_root
from asynctestkit.servers.private import PrivateServer, find_program


class PostgresqlServer(PrivateServer):
    """PostgreSQL with its superuser `tests`, trusted on the loopback."""

    _graceful_signal = signal.SIGINT  # "fast shutdown": does not wait for clients to leave

    def __init__(self) -> None:
        self._programs = postgresql_programs()
        super().__init__(kind="postgresql")
        self._port = free_port()
        self._data = self._folder / "data"

    @property
    def url(self) -> str:
        return f"postgresql://tests@127.0.0.1:{self._port}/postgres"

    def _launch(self) -> Iterator[Process]:
        if not self._data.exists():
            self._initialise()
        yield Process(
            *self._server_command(),
            name="postgresql",
            folder=self._folder,
            is_ready=lambda _: self._accepts_connections(),
            user=unprivileged_user(),
            within=self._within,
        )

    def _initialise(self) -> None:
        user = unprivileged_user()
        if user:
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        initdb = [str(self._programs / "initdb"), "--pgdata", str(self._data), "--username=tests"]
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run(*as_user(user), *initdb, *options)

    def _server_command(self) -> list[str]:
        settings = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 300,  # many services with a pool each meet in one chaos test
        }
        postgres = [str(self._programs / "postgres"), "-D", str(self._data)]
        return postgres + [part for name in settings for part in ("-c", f"{name}={settings[name]}")]

    def _accepts_connections(self) -> bool:
        command = [*self._within, str(self._programs / "pg_isready"), "--quiet"]
        whom = ["--host=127.0.0.1", f"--port={self._port}", "--username=tests"]
        return subprocess.call([*command, *whom]) == 0


def postgresql_programs() -> Path:
    """The folder of the newest PostgreSQL; Debian keeps its server off the PATH."""
    by_version = sorted(
        found_inside(other_root(), "usr/lib/postgresql/*/bin"),
        key=lambda folder: float(folder.parent.name),
    )
    initdb = find_program(
        "initdb", first_in=by_version[::-1], package="postgresql", variable="TEST_DATABASE_URL"
    )
    return initdb.parent if other_root() else initdb.resolve().parent


def unprivileged_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL, which refuses root, runs as. None: as ourselves."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    # Only `nobody` has one number everywhere.
    return (None if other_root() else known.get("postgres")) or known["nobody"]
