"""A server of another make on a port of loopback, private, by a configuration in its folder."""

import os
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from asynctestkit.ports import free_port, is_listening
from asynctestkit.process import Process
from asynctestkit.servers import PrivateServer
from asynctestkit.servers.postgresql import unprivileged_user
from asynctestkit.servers.private import find_program


class FrontServer(PrivateServer):
    """It runs as nobody in particular, and all that it writes is in its own folder."""

    program: ClassVar[str]
    package: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(kind=self.program)
        self.port = free_port()
        self._program = find_program(
            self.program, first_in=[Path("/usr/sbin")], package=self.package
        )
        self._configuration = self._folder / "configuration"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def _arguments(self) -> list[str]:
        """For a run in the foreground."""

    def _configure(self, text: str) -> None:
        """Write the configuration, after all else in the folder."""
        self._configuration.write_text(text)
        user = unprivileged_user()
        if user:
            os.chown(self._folder, user.pw_uid, user.pw_gid)

    def _launch(self) -> Iterator[Process]:
        yield Process(
            str(self._program),
            *self._arguments(),
            name=self.program,
            folder=self._folder,
            is_ready=lambda _: is_listening(self.port),
            user=unprivileged_user(),
        )


class ApacheServer(FrontServer):
    """Apache httpd with the modules that it is given."""

    program = "apache2"
    package = "apache2-bin"
    modules: ClassVar[tuple[str, ...]]

    def _head(self) -> str:
        """The part of its configuration that keeps it to itself."""
        loaded = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
            for name in self.modules
        )
        return f"""
ServerRoot {self._folder}
ServerName localhost
PidFile apache2.pid
ErrorLog errors.log
{loaded}
Listen 127.0.0.1:{self.port}
"""

    def _arguments(self) -> list[str]:
        return ["-D", "FOREGROUND", "-f", str(self._configuration)]
