"""The client, imported in half of the time, and where the proxy is that it calls by default."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncapiproxy.client.client import Client

LOCAL = "http://localhost:8080"


def quick_client() -> type[Client]:
    """The client, but without httpx's own command, which takes as long to import as the rest."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] - says: there is none
    from asyncapiproxy.client.client import Client  # noqa: PLC0415 - `--help` needs none

    return Client
