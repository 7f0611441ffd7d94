"""The connections to all upstreams of an executor: how many, how they are secured, by which way."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self
from urllib.request import (
    proxy_bypass_environment,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType] - typeshed lacks it
)

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from asyncexecutor.attempt_bodies import RequestBody
from asynctasks.errors import OperationsFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncexecutor.upstream_request import Request
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.upstream_call import UpstreamCall

MAX_HEADER_BYTES = 65_536
MAX_HEADERS = 512
AUTHORIZATION = "Proxy-Authorization"
PROXY_AUTHENTICATION_REQUIRED = 407
"""Never an upstream's to say where a proxy stands before it (RFC 9110 §15.5.8)."""
RACE_SECONDS = 1.0
"""A kept connection that ends without an answer so soon was closed before the call reached it."""


@dataclass(slots=True)
class _Sending:
    """What became of one sending of a call."""

    started_at: float = field(default_factory=time.monotonic)
    made_a_connection: bool = False

    def met_a_closed_connection(self, error: aiohttp.ClientError) -> bool:
        """Whether the upstream closed an idle connection while the call was on its way there."""
        has_begun = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(
            error.message, str
        )
        took_seconds = time.monotonic() - self.started_at
        return not self.made_a_connection and not has_begun and took_seconds < RACE_SECONDS


_SENDING: ContextVar[_Sending] = ContextVar("sending")
"""Whom a new connection is made for. Asking by a trace of aiohttp would cost each call 70 µs."""


class UpstreamConnections:
    """One pool for all upstreams: as many connections as there can be attempts at a time.

    It keeps no cookies: what an upstream sets for one caller is not for the next.
    """

    def __init__(self, *, limit: int, environment: Mapping[str, str]) -> None:
        self._limit = limit
        self._proxies = _proxies(environment)
        self._opened = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = await self._opened.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._limit, socket_factory=_new_socket),
                cookie_jar=aiohttp.DummyCookieJar(),
                # An answer that is packed all the same is kept so, with its Content-Encoding.
                auto_decompress=False,
                headers={
                    "User-Agent": f"AsyncApiProxy/{version('asyncapiproxy')}",
                    "Accept-Encoding": "identity",
                },
                # A call without a type has none: it has no body, or its caller gave it none.
                skip_auto_headers=("Content-Type",),
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    async def send(
        self,
        method: str,
        request: Request,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own
        tls: ssl.SSLContext | None,
    ) -> aiohttp.ClientResponse:
        """The answer's head; raises what aiohttp raises.

        Sent once more where a kept connection was closed just then: nothing of an answer has come,
        and the call bears the same Idempotency-Key.
        """
        assert self._session is not None
        request = _authorized_once(request)
        given: dict[str, Any] = {
            "headers": request.headers,
            # A redirect is an answer: who called may follow it.
            "allow_redirects": False,
            "timeout": timeout,
            **self._way_to(request),
        }
        if tls is not None:
            given["ssl"] = tls
        sending = _Sending()
        _SENDING.set(sending)
        try:
            return await self._send_once(method, request, given)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not sending.met_a_closed_connection(error):
                raise
        return await self._send_once(method, request, given)

    async def _send_once(
        self, method: str, request: Request, given: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        assert self._session is not None
        body = request.body
        if isinstance(body, RequestBody):
            size, body = await body.sent()
            headers = CIMultiDict(given["headers"])
            headers["Content-Length"] = str(size)
            given = {**given, "headers": headers}
        answer = await self._session.request(method, request.url, data=body, **given)
        if answer.status == PROXY_AUTHENTICATION_REQUIRED and "proxy" in given:
            answer.close()
            raise aiohttp.ClientHttpProxyError(answer.request_info, (), status=answer.status)
        return answer

    def _way_to(self, request: Request) -> dict[str, Any]:
        url = request.url
        proxy = self._proxies.get(url.scheme)
        if proxy is None or proxy_bypass_environment(f"{url.host}:{url.port}", self._proxies):
            return {}
        address = URL(proxy if "://" in proxy else f"http://{proxy}")
        way: dict[str, Any] = {"proxy": address.with_user(None)}
        if address.user is not None:
            basic = aiohttp.encode_basic_auth(address.user, address.password or "")
            # What asks a proxy for a tunnel is a request of its own; a plain call is the request.
            if url.scheme == "https":
                way["proxy_headers"] = {AUTHORIZATION: basic}
            else:
                way["headers"] = CIMultiDict(request.headers)
                way["headers"][AUTHORIZATION] = basic
        return way


def _authorized_once(request: Request) -> Request:
    """The request without the user in its URL where it has an Authorization all the same."""
    if "@" not in request.url.raw_authority or "authorization" not in map(
        str.lower, request.headers
    ):
        return request
    return replace(request, url=request.url.with_user(None))


def tls_context(operation: Operation, call: UpstreamCall) -> ssl.SSLContext | None:
    """What `upstream.tls` asks for; None where it asks for nothing. Raises OperationsFileError."""
    tls = call.tls
    if tls is None:
        return None
    place = operation.place("upstream", "tls")
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (OSError, ValueError) as error:
        raise OperationsFileError(
            f"{place}.caFile: {tls.ca_file}: holds no certificates that can be read: {error}"
        ) from error
    if tls.cert_file is not None:
        try:
            # Without a password of its own, OpenSSL would ask the terminal for one.
            context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
        except (OSError, ValueError) as error:
            raise OperationsFileError(
                f"{place}.certFile: {tls.cert_file}: no certificate with its key, "
                f"unencrypted, can be read: {error}"
            ) from error
    return context


def _new_socket(address: tuple[Any, ...]) -> socket.socket:
    _SENDING.get().made_a_connection = True
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)


def _proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not, as urllib calls them."""
    found: dict[str, str] = {}
    for scheme, name in (("http", "http_proxy"), ("https", "https_proxy"), ("no", "no_proxy")):
        if value := (environment.get(name) or environment.get(name.upper(), "")).strip():
            found[scheme] = value
    return found
