"""The client for all calls, by aiohttp: also by an egress proxy, or with a body in a stream."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from multidict import CIMultiDict

from asyncexecutor.http.aiohttp_faults import FOREIGN, translated
from asyncexecutor.http.call import BODILESS
from asyncexecutor.http.faults import MAX_HEADER_BYTES, MAX_HEADERS, RequestInvalidError
from asyncexecutor.http.request_head import DEFAULT_HEADERS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from asyncexecutor.http.call import Call

AUTHORIZATION = "Proxy-Authorization"
PROXY_AUTHENTICATION_REQUIRED = 407
"""Never an upstream's to say where a proxy stands before it (RFC 9110 §15.5.8)."""


class _Sending:
    """One sending of a call, while its answer's head is awaited."""

    __slots__ = ("made_a_connection",)

    def __init__(self) -> None:
        self.made_a_connection = False


_SENDING: ContextVar[_Sending] = ContextVar("sending")
"""Whom a new connection is made for. Asking by a trace of aiohttp would cost each call 70 µs."""


class AiohttpAnswer:
    """See `HttpAnswer`."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status
        self.raw_headers: Sequence[tuple[bytes, bytes]] = answer.raw_headers
        self.headers: Mapping[str, str] = answer.headers
        # What has no body may say how long that of another answer would be.
        has_body = answer.method != "HEAD" and answer.status not in BODILESS
        self.body_bytes = (answer.content_length or 0) if has_body else 0

    async def more(self) -> bytes:
        """See `HttpAnswer`."""
        try:
            return await self._answer.content.readany()
        except FOREIGN as error:
            raise translated(error) from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        async with self._answer:
            pass


class AiohttpClient:
    """See `HttpClient`.

    It keeps no cookies: what an upstream sets for one caller is not for the next.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @staticmethod
    @asynccontextmanager
    async def opened() -> AsyncGenerator[AiohttpClient]:
        """One with connections of its own; how many there may be, who calls it sees to."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=_new_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=DEFAULT_HEADERS,
            # A call without a type has none: it has no body, or its caller gave it none.
            skip_auto_headers=("Content-Type",),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        ) as session:
            yield AiohttpClient(session)

    async def send(self, call: Call, *, afresh: bool) -> AiohttpAnswer:  # noqa: ARG002 - aiohttp chooses
        """See `HttpClient`."""
        sending = _Sending()
        _SENDING.set(sending)
        try:
            return AiohttpAnswer(await self._sent(call))
        except TimeoutError:
            raise
        except FOREIGN as error:
            # Without the cause, whose text holds the URL, and so secrets and arguments.
            raise translated(error, is_kept=not sending.made_a_connection) from None
        except ValueError:
            raise RequestInvalidError from None

    async def _sent(self, call: Call) -> aiohttp.ClientResponse:
        answer = await self._session.request(
            call.method,
            call.url,
            data=call.body,
            # A redirect is an answer: who called may follow it.
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=call.connect_seconds),
            **_headers_and_way(call),
        )
        if answer.status == PROXY_AUTHENTICATION_REQUIRED and call.proxy is not None:
            answer.close()
            raise aiohttp.ClientHttpProxyError(answer.request_info, (), status=answer.status)
        return answer


def _headers_and_way(call: Call) -> dict[str, Any]:
    headers: CIMultiDict[str] = CIMultiDict(call.headers)
    given: dict[str, Any] = {"headers": headers}
    if call.tls is not None:
        given["ssl"] = call.tls
    if call.body is not None:
        headers["Content-Length"] = str(call.body_bytes)
    if call.proxy is not None:
        given["proxy"] = call.proxy.with_user(None)
        if call.proxy.user is not None:
            basic = aiohttp.encode_basic_auth(call.proxy.user, call.proxy.password or "")
            # A proxy is asked for a tunnel by a request of its own; a plain call is the request.
            if call.url.scheme == "https":
                given["proxy_headers"] = {AUTHORIZATION: basic}
            else:
                headers[AUTHORIZATION] = basic
    return given


def _new_socket(address: tuple[Any, ...]) -> socket.socket:
    _SENDING.get().made_a_connection = True
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)
