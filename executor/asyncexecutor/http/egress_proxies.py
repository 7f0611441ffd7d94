"""The proxies of the environment by which calls leave, and which calls go by them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.request import (
    proxy_bypass_environment,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType] - typeshed lacks it
)

from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping


class EgressProxies:
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not, as urllib calls them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._found: dict[str, str] = {}
        for scheme, name in (("http", "http_proxy"), ("https", "https_proxy"), ("no", "no_proxy")):
            if value := (environment.get(name) or environment.get(name.upper(), "")).strip():
                self._found[scheme] = value

    def of(self, url: URL) -> URL | None:
        """The proxy by which a call of this URL goes, with its user and password."""
        proxy = self._found.get(url.scheme)
        if proxy is None or proxy_bypass_environment(f"{url.host}:{url.port}", self._found):
            return None
        return URL(proxy if "://" in proxy else f"http://{proxy}")
