"""A proxy by which calls go out: Apache httpd, private, with a password."""

import base64
import hashlib

from asynctestkit.front_server import ApacheServer


class ForwardProxy(ApacheServer):
    """One that lets the user `me` through to wherever a call goes."""

    modules = (
        *("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic"),
        *("proxy", "proxy_http", "proxy_connect"),
    )

    def __init__(self, *, password: str) -> None:
        super().__init__()
        digest = base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
        (self._folder / "users").write_text(f"me:{{SHA}}{digest}\n")
        self._configure(
            self._head()
            + """
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
        )

    @property
    def asked(self) -> list[str]:
        """The first line of each request and its status, from the log."""
        return (self._folder / "asked.log").read_text().splitlines()
