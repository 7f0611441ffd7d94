"""What proxies in front say of a request: whose it is, and by which address we were called.

They say it in X-Forwarded-* headers, which any caller can write: what comes from an address that is
not trusted counts for nothing, and reaches no upstream either.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Scope

    from asynctasks.operations.operation import Operation

FORWARDED = frozenset(
    {
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-real-ip",
    }
)
_FORWARDED_BYTES = frozenset(name.encode() for name in FORWARDED)
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_WITH_PORT = re.compile(r"\[(.+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")


class TrustedProxies:
    """The networks whose word on a request is taken; often none."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self._networks = tuple(networks)
        self._has_peer = lru_cache(maxsize=4_096)(self._has_text)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def vouch_for(self, scope: Scope) -> bool:
        """Whether the request comes from one of them."""
        return bool(self._networks) and self._has_peer(_peer(scope))

    def drop(self, scope: Scope, names: Collection[bytes]) -> None:
        """Take headers of these names, in small letters, out of a request of anyone else."""
        lines = scope["headers"]
        if any(name in names for name, _ in lines) and not self.vouch_for(scope):
            scope["headers"] = [line for line in lines if line[0] not in names]

    def address(self, request: Request) -> str:
        """Where the request comes from, as far back as those that are trusted say."""
        peer = _peer(request.scope)
        found = _parsed(peer) if self._networks else None
        hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",") if found else []
        while hops and self._has(found):
            hop = _parsed(hops.pop())
            if hop is None:
                break
            found = hop
        return str(found or peer)

    def prefix(self, request: Request) -> str:
        """What our addresses begin with where the caller is: a URL or a path, or nothing."""
        if not self.vouch_for(request.scope):
            return ""
        path = (_only(request, "x-forwarded-prefix") or "").rstrip("/")
        if not _PREFIX.fullmatch(path):
            path = ""
        scheme = _only(request, "x-forwarded-proto")
        host = _only(request, "x-forwarded-host") or request.headers.get("host", "")
        if scheme not in {"http", "https"} or not _HOST.fullmatch(host):
            return path
        return f"{scheme}://{host}{path}"

    def _has_text(self, text: str) -> bool:
        return self._has(_parsed(text))

    def _has(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


class PublicAddress:
    """What the addresses begin with that callers are given."""

    def __init__(self, url: str = "", proxies: TrustedProxies | None = None) -> None:
        """The setting, if it is made, comes before what proxies say."""
        self.url = url
        self.proxies = proxies or TrustedProxies()

    def prefix(self, request: Request) -> str:
        """In the answer to this request."""
        return self.url or (self.proxies.prefix(request) if self.proxies else "")


def reads_forwarded(operation: Operation) -> bool:
    """Whether the operation makes anything of headers that proxies write."""
    parameters = [each.name for each in operation.parameters if each.place == "header"]
    return any(name.lower() in FORWARDED for name in (*operation.forwarded_headers, *parameters))


def unless_vouched(
    endpoint: Callable[[Request], Awaitable[Response]], proxies: TrustedProxies
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint, which gets these headers only from proxies that are trusted."""

    async def serve(request: Request) -> Response:
        proxies.drop(request.scope, _FORWARDED_BYTES)
        return await endpoint(request)

    return serve


def _peer(scope: Scope) -> str:
    """Who has connected; nothing where that is by a socket without an address."""
    client = scope.get("client")
    return client[0] if client else ""


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address, which some write with a port; of an IPv4 one that came by IPv6, the former."""
    text = text.strip()
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _only(request: Request, name: str) -> str | None:
    """The header's one value: which of several is whose, nobody can tell."""
    values = request.headers.getlist(name)
    return values[0].strip() if len(values) == 1 and "," not in values[0] else None
