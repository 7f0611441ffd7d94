"""The client, imported in half of the time, and where the proxy is that it calls."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asyncapiproxy.in_cluster import SCHEME, InCluster

if TYPE_CHECKING:
    from collections.abc import Generator

    from asyncapiproxy.client.client import Client

LOCAL = "http://localhost:8080"
WHERE = f"The proxy is the one at `--url`, or at ASYNCAPIPROXY_URL, or at {LOCAL}."
"""What the help of groups of commands says of it."""


def quick_client() -> type[Client]:
    """The client, but without what httpx would import for its own command and for asyncio."""
    for module in ("httpx._main", "anyio"):
        sys.modules.setdefault(module, None)  # type: ignore[arg-type] - says: there is none
    from asyncapiproxy.client.client import Client  # noqa: PLC0415 - `--help` needs none

    return Client


@contextmanager
def reached(url: str) -> Generator[str]:
    """The address at which the proxy answers until the block ends; raises AsyncApiProxyError."""
    if not url.startswith(SCHEME):
        yield url
        return
    from asyncapiproxy.port_forward import forwarded  # noqa: PLC0415 - seldom needed

    with forwarded(InCluster.of_url(url)) as address:
        yield address


def command_for(url: str) -> str:
    """How a person calls this command for the proxy at that URL, for what they may type next."""
    return InCluster.of_url(url).command if url.startswith(SCHEME) else "asyncapiproxy"
