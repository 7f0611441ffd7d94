"""Which URLs may be called, by the patterns of ASYNCAPIPROXY_CALLBACK_ALLOW.

    https://*.example.com                  any host below example.com, any path
    https://hooks.example.com:8443/tasks/*  one host and port, what lies below /tasks/
    http://inside.example.com/end           one path, without TLS

A URL is read here once, by one strict grammar, and written anew of what was read: so that who calls
it cannot read another host in it than was checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote

import idna

from asynctasks.errors import CallbackUrlError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_URL_CHARACTERS = 2_048
DEFAULT_PORTS = {"https": 443, "http": 80}
ANY_BELOW = "*."
"""In front of a pattern's host it stands for one label or more."""

_URL = re.compile(
    r"""(?P<scheme>https?)://
    (?P<host>\[[0-9a-f:.]+\]|[^\x00-\x20\x7f/?\#\\@:\[\]%*]+)
    (?::(?P<port>[0-9]{1,5}))?
    (?P<path>/(?:[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?
    (?P<query>\?(?:[a-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
"""RFC 3986, less what hides where a URL leads: users, fragments, other writings of a host."""
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""What a host ends with that some programs take for an IPv4 address, by octal or in one number."""
MAX_HOST_CHARACTERS = 253
_NAME = "a host whose name is one of DNS: hooks.example.com"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a URL leads, in one writing of all that are possible."""

    scheme: str
    host: str
    """A name in small ASCII letters without a dot behind it, or an IP address; IPv6 in brackets."""
    port: int
    path: str

    @property
    def origin(self) -> str:
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


@dataclass(frozen=True, slots=True)
class UrlPattern:
    """A pattern of URLs: scheme, host and port, and of the path all, what it begins with, or it."""

    scheme: str
    host: str
    port: int
    path: str
    """Empty for any; with a `*` at its end for what it begins with."""
    is_below: bool
    """Whether the host stands for all below it, and not for itself."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a pattern as people write it; raises ValueError."""
        before, is_below, behind = text.partition(f"://{ANY_BELOW}")
        try:
            place, query = _read(f"{before}://{behind}" if is_below else text)
        except CallbackUrlError as error:
            raise ValueError(f"{text[:100]!r}: expected {error.expected}") from None
        fault = None
        if query:
            fault = "no query: a pattern fits any"
        elif is_below and (place.host.startswith("[") or _ends_in_number(place.host)):
            fault = "a name behind `*.`"
        elif "*" in place.path.removesuffix("/*"):
            fault = "`*` only as the last part of the path: /tasks/*"
        if fault is not None:
            raise ValueError(f"{text[:100]!r}: expected {fault}")
        path = "" if place.path == "/" else place.path
        return cls(place.scheme, place.host, place.port, path, bool(is_below))

    def fits(self, place: _Place) -> bool:
        """Whether the URL that leads there is one of these."""
        if (self.scheme, self.port) != (place.scheme, place.port):
            return False
        if self.is_below:
            if not place.host.endswith(f".{self.host}"):
                return False
        elif self.host != place.host:
            return False
        if self.path.endswith("*"):
            return place.path.startswith(self.path[:-1])
        return self.path in {"", place.path}


@dataclass(frozen=True, slots=True)
class AllowedUrls:
    """The URLs that callers may give; without a pattern there are none, and callbacks are off."""

    patterns: tuple[UrlPattern, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Take patterns as people write them; raises ValueError."""
        return cls(tuple(map(UrlPattern.of, texts)))

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def checked(self, url: str) -> str:
        """The URL as it is to be called; raises CallbackUrlError, which never quotes it."""
        if not self.patterns:
            raise CallbackUrlError("none: this installation makes no callbacks")
        place, query = _read(url)
        if not any(pattern.fits(place) for pattern in self.patterns):
            raise CallbackUrlError("a URL that this installation may call")
        return f"{place.origin}{place.path}{query}"


NO_URLS = AllowedUrls()


def _read(url: str) -> tuple[_Place, str]:
    """Where a URL leads, and its query with the question mark."""
    if len(url) > MAX_URL_CHARACTERS:
        raise CallbackUrlError(f"{MAX_URL_CHARACTERS} characters at most")
    found = _URL.fullmatch(url)
    if found is None:
        raise CallbackUrlError(_why_not(url))
    scheme = found["scheme"].lower()
    port = int(found["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port <= 65_535:  # noqa: PLR2004 - the last port
        raise CallbackUrlError("a port from 1 to 65535")
    path = found["path"] or "/"
    # Some servers read `/..;a/` as they read `/../`.
    parts = re.split(r"[/\\]", unquote(path))
    if any(part.partition(";")[0] in {".", ".."} for part in parts):
        raise CallbackUrlError("a path without the parts `.` and `..`, written plainly or not")
    return _Place(scheme, _host(found["host"]), port, path), found["query"] or ""


def _why_not(url: str) -> str:
    """What was expected of a URL that the grammar does not fit: the most likely, said shortly."""
    scheme, is_there, rest = url.partition("://")
    if not is_there or scheme.lower() not in DEFAULT_PORTS:
        return "a URL that begins with https:// or http://"
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if "@" in authority:
        return "no user or password before the host: a callback shows its signature alone"
    if "#" in rest:
        return "no fragment (#…), which no server would see"
    if not url.isprintable() or "\\" in rest or " " in rest:
        return "no control characters, spaces or backslashes"
    if not re.fullmatch(r"(?:\[[^\]]*\]|[^:\[\]%*]+)(?::[0-9]{1,5})?", authority):
        return "behind the scheme a host and perhaps a port: https://hooks.example.com:8443"
    return "a path and a query whose other characters are percent-encoded (RFC 3986)"


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return f"[{IPv6Address(text[1:-1])}]"
        except AddressValueError:
            raise CallbackUrlError("within brackets an IPv6 address") from None
    try:
        # Digits and dots of other scripts become those of ASCII, as resolvers take them.
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode()
    except idna.IDNAError:
        raise CallbackUrlError(_NAME) from None
    name = name.removesuffix(".")
    if _ends_in_number(name):
        return _ipv4(name)
    labels = name.split(".")
    if len(name) > MAX_HOST_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        raise CallbackUrlError(_NAME)
    return name


def _ends_in_number(name: str) -> bool:
    return bool(_NUMBER.fullmatch(name.rpartition(".")[2]))


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        raise CallbackUrlError(
            "an IPv4 address as four decimal numbers without leading zeros: 192.0.2.1"
        ) from None
