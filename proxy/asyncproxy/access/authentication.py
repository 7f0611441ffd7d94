"""How callers may prove who they are, as the access file declares it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from asynctasks.declarations.declared import PRINTABLE, Declared, NotEmpty
from asynctasks.operations.header_names import HEADER_NAME, OF_THE_CONNECTION

AUTHORIZATION, API_KEY = "Authorization", "X-Api-Key"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

LEAST_PREFIX_IPV4, LEAST_PREFIX_IPV6 = 8, 16
_UNIQUE_LOCAL = ipaddress.IPv6Network("fc00::/7")
"""RFC 4193: no address of the internet."""
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""Addresses of IPv4, which are compared as such."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Text = Annotated[str, Field(min_length=1, max_length=1_024)]
File = Annotated[Path, PRINTABLE]
Prefix = Annotated[str, Field(max_length=128, pattern=r"^[!-~]*$")]


def _url(value: str) -> str:
    """Without TLS anyone on the way could bring keys of their own."""
    try:
        url = urlsplit(value)
        is_whole = bool(url.hostname) and url.port != 0
    except ValueError:
        is_whole = False
    else:
        is_safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
        if is_whole and is_safe and not (url.query or url.fragment or "@" in url.netloc):
            return value
    raise ValueError("expected https://host/path, or http:// on the loopback")


def _header(value: str) -> str:
    if not HEADER_NAME.fullmatch(value):
        raise ValueError("expected a header's name")
    if value.lower() in {AUTHORIZATION.lower(), API_KEY.lower()}:
        raise ValueError(f"{value} bears what callers prove themselves by")
    if value.lower() in {*OF_THE_CONNECTION, "content-type", "cookie"}:
        raise ValueError(f"{value} says something else in each request")
    return value


def _network(value: Any) -> Network:
    if not isinstance(value, str):
        raise ValueError("expected addresses such as 10.0.0.0/8")  # noqa: TRY004 - pydantic's way
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"expected addresses such as 10.0.0.0/8: {error}") from error
    if _is_everyone(network):
        raise ValueError("these are all addresses there are: anyone could claim to be anybody")
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError("expected addresses of IPv4 in their own form, such as 10.0.0.0/8")
    return network


def _is_everyone(network: Network) -> bool:
    """Whether a few as wide are all there are. Those that are never routed may be wide."""
    if isinstance(network, ipaddress.IPv4Network):
        return network.prefixlen < LEAST_PREFIX_IPV4
    return network.prefixlen < LEAST_PREFIX_IPV6 and not network.subnet_of(_UNIQUE_LOCAL)


def _pointer(value: str) -> str:
    if value.startswith("/") and any(
        part[:1] not in {"0", "1"} for part in value.replace("~~", "~?").split("~")[1:]
    ):
        raise ValueError("expected in a JSON Pointer ~0 for ~ and ~1 for /")
    return value


Url = Annotated[Text, AfterValidator(_url)]
HeaderName = Annotated[Text, AfterValidator(_header)]
Claim = Annotated[Text, AfterValidator(_pointer)]
"""The name of a member of the token, or a JSON Pointer (RFC 6901), which begins with `/`."""


class Claims(Declared):
    """Where in a token it says who its bearer is."""

    principal: Claim = "sub"
    groups: Claim | None = None
    """A text, or a list of them."""
    tenant: Claim | None = None


class Issuer(Declared):
    """Whose tokens are taken, and for whom they have to be made out."""

    issuer: Url
    """What the tokens say in `iss`, to the letter."""
    audiences: Annotated[tuple[Text, ...], NotEmpty]
    """A token has to be for one of them."""
    claims: Claims = Claims()
    prefix: Prefix = ""
    """Put before the names of principals and groups."""
    jwks_uri: Url | None = None
    """Where its keys are; else its discovery document says it."""
    ca_file: File | None = None
    """Certificates that its server's is signed by, in place of the system's."""
    token_file: File | None = None
    """A token to show when its keys are asked for. Read each time."""


class ApiKeysDeclared(Declared):
    """API keys, which stand in a file of their own."""

    file: File
    prefix: Annotated[Prefix, Field(min_length=1)] = "key:"
    """Put before the names of principals."""


class TrustedHeaders(Declared):
    """Headers in which a proxy in front says who calls."""

    principal: HeaderName
    groups: HeaderName | None = None
    """Separated by commas."""
    tenant: HeaderName | None = None
    prefix: Prefix = ""
    """Put before the names of principals and groups."""
    trusted_proxies: Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], NotEmpty]
    """The addresses that such a proxy connects from."""

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(name for name in (self.principal, self.groups, self.tenant) if name)


class Authentication(Declared):
    """The ways in which callers may prove who they are."""

    jwt: tuple[Issuer, ...] = ()
    api_keys: ApiKeysDeclared | None = None
    headers: TrustedHeaders | None = None
    anonymous: Literal["deny", "allow"] = "deny"
    """Whether those may call who show nothing at all."""

    def prefixes(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Of each way its place and its prefix."""
        ways: list[tuple[tuple[str | int, ...], str]] = [
            (("jwt", number), issuer.prefix) for number, issuer in enumerate(self.jwt)
        ]
        if self.api_keys is not None:
            ways.append((("apiKeys",), self.api_keys.prefix))
        if self.headers is not None:
            ways.append((("headers",), self.headers.prefix))
        return ways
