"""A proxy by which calls go out: Apache httpd, private, with a password."""

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from asynctestkit.ports import free_port, is_listening
from asynctestkit.process import Process
from asynctestkit.servers import PrivateServer
from asynctestkit.servers.postgresql import unprivileged_user
from asynctestkit.servers.private import find_program

MODULES = (
    *("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic"),
    *("proxy", "proxy_http", "proxy_connect"),
)


class ForwardProxy(PrivateServer):
    """One that lets the user `me` through to wherever a call goes."""

    def __init__(self, *, password: str) -> None:
        super().__init__(kind="forward-proxy")
        self.port = free_port()
        self._program = find_program("apache2", first_in=[Path("/usr/sbin")], package="apache2-bin")
        digest = base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
        (self._folder / "users").write_text(f"me:{{SHA}}{digest}\n")
        (self._folder / "configuration").write_text(self._configuration())
        user = unprivileged_user()
        if user:
            os.chown(self._folder, user.pw_uid, user.pw_gid)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """The first line of each request and its status, from the log."""
        return (self._folder / "asked.log").read_text().splitlines()

    def _configuration(self) -> str:
        modules = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in MODULES
        )
        return f"""
ServerRoot {self._folder}
ServerName localhost
PidFile apache2.pid
ErrorLog errors.log
{modules}
Listen 127.0.0.1:{self.port}
CustomLog asked.log "%r %>s"
ProxyRequests On
ProxyVia On
AllowCONNECT 1-65535
<Proxy "*">
    AuthType Basic
    AuthName calls
    AuthUserFile users
    Require user me
</Proxy>
"""

    def _launch(self) -> Iterator[Process]:
        yield Process(
            str(self._program),
            *("-D", "FOREGROUND", "-f", str(self._folder / "configuration")),
            name="forward-proxy",
            folder=self._folder,
            is_ready=lambda _: is_listening(self.port),
            user=unprivileged_user(),
        )
