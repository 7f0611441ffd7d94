"""What both clients have of httpx: how it is set up, and what its errors are in our words."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from asyncapiproxy.client.answers import says_unfinished
from asyncapiproxy.client.errors import (
    CallInvalidError,
    ProxyUnreachableError,
    TokenUnusableError,
    UrlInvalidError,
)

if TYPE_CHECKING:
    from asyncapiproxy.client.steps import Call

CONNECT_SECONDS = 10.0
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a proxy is, and as whom we call it."""

    url: httpx.URL
    shown: str
    """For messages: a password in the URL is not shown."""
    headers: dict[str, str]

    def target(self, path: str) -> httpx.URL:
        """The URL of a path, below that of the proxy."""
        before = self.url.raw_path.rstrip(b"/")
        return self.url.copy_with(raw_path=before + path.encode("ascii"))

    def headers_of(self, call: Call) -> list[tuple[bytes, bytes]]:
        """All headers of a call but those that httpx adds."""
        ours = list(self.headers.items())
        if call.body is not None:
            ours += call.body.headers.items()
        told = [*call.headers, *((name, value.encode()) for name, value in ours)]
        return [(name.encode("ascii"), value) for name, value in told]


def http_options(where: Address) -> dict[str, Any]:
    """For httpx, whose default of 100 connections is fewer than may wait at a time."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    if where.url.scheme == "https":
        return {"limits": limits}
    # Without TLS no authorities are needed; to read them all takes longer than a call.
    return {"limits": limits, "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}


def address(url: str, *, token: str | None) -> Address:
    """Read `http://host:port`; the scheme may be left out, and a path may stand before ours.

    The token is shown with each call, in place of a user in the URL. Raises UrlInvalidError,
    TokenUnusableError.
    """
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance] - whatever a program gives
        raise UrlInvalidError(f"{url!r} is no URL: expected http://host:port")
    try:
        parsed = httpx.URL(url if "://" in url else f"http://{url}")
    except httpx.InvalidURL as error:
        raise UrlInvalidError(f"{url!r} is no URL: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise UrlInvalidError(f"{url!r}: expected http://host:port")
    shown = str(parsed.copy_with(userinfo=b""))
    if token is None:
        return Address(parsed, shown, {})
    return Address(
        parsed.copy_with(userinfo=b""), shown, {"Authorization": f"Bearer {_checked(token)}"}
    )


def time_limits(call: Call) -> httpx.Timeout:
    """How long each part of a call may take."""
    seconds = call.answer_seconds
    return httpx.Timeout(
        connect=min(CONNECT_SECONDS, seconds), read=seconds, write=seconds, pool=seconds
    )


def unanswered(error: httpx.RequestError, *, url: str) -> ProxyUnreachableError | CallInvalidError:
    """An error of httpx in our words."""
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return CallInvalidError(f"The call cannot be sent: {error}")
    was_sent = not isinstance(error, _UNSENT)
    if isinstance(error, httpx.TimeoutException):
        return ProxyUnreachableError(f"{url} did not answer in time.", url=url, was_sent=was_sent)
    told = str(error) or type(error).__name__
    return ProxyUnreachableError(f"No proxy answers at {url}: {told}", url=url, was_sent=was_sent)


def is_of(error: httpx.RequestError, request: httpx.Request) -> bool:
    """Whether the error came of this request."""
    try:
        return error.request is request
    except RuntimeError:  # nobody has said of which
        return False


def has_to_be_read(response: httpx.Response) -> bool:
    """Whether it is ours, which is short and says what follows, and not the upstream's answer."""
    headers = response.headers
    is_problem = "problem+json" in headers.get("content-type", "")
    is_events = headers.get("content-type", "").startswith("text/event-stream")
    return is_problem or says_unfinished(response) or not ("task-id" in headers or is_events)


def _checked(token: str) -> str:
    if not isinstance(token, str):  # pyright: ignore[reportUnnecessaryIsInstance] - whatever a program gives
        raise TokenUnusableError
    if not token.isascii() or not token.isprintable() or not token.strip():
        raise TokenUnusableError
    return token.strip()
