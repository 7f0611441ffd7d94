"""The connections to all upstreams of an executor: how many, how they are secured, by which way."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from asyncexecutor.attempt_bodies import RequestBody
from asyncexecutor.http.aiohttp_client import AiohttpClient
from asyncexecutor.http.call import Call, is_plain
from asyncexecutor.http.egress_proxies import EgressProxies
from asyncexecutor.http.faults import KeptConnectionClosedError
from asyncexecutor.http.plain_client import PlainClient
from asynctasks.errors import OperationsFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncexecutor.http.call import HttpAnswer
    from asyncexecutor.upstream_request import Request
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.upstream_call import UpstreamCall

CONNECT_SECONDS = 10.0
RACE_SECONDS = 1.0
"""A kept connection that ends without an answer so soon was closed before the call reached it."""


class UpstreamConnections:
    """One pool for all upstreams: as many connections as there can be attempts at a time.

    Two clients share it: a cheap one for plain calls, and aiohttp for what that cannot do.
    """

    def __init__(self, *, limit: int, environment: Mapping[str, str]) -> None:
        self._limit = limit
        self._in_use = 0
        self._slots = asyncio.Semaphore(limit)
        self._proxies = EgressProxies(environment)
        self._opened = AsyncExitStack()
        self._plain = PlainClient(room=lambda: self._limit - self._in_use)
        self._aiohttp: AiohttpClient | None = None

    async def __aenter__(self) -> Self:
        self._aiohttp = await self._opened.enter_async_context(AiohttpClient.opened())
        self._opened.callback(self._plain.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    def send(
        self,
        method: str,
        request: Request,
        *,
        tls: ssl.SSLContext | None,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> Exchange:
        """One call, made when it is entered; see `Exchange`."""
        return Exchange(self, method, request, tls=tls, connect_seconds=connect_seconds)

    async def take_place(self) -> None:
        """Wait until a connection may be used, and count it."""
        await self._slots.acquire()
        self._in_use += 1

    def leave_place(self) -> None:
        """Count a connection as used no longer."""
        self._in_use -= 1
        self._slots.release()

    async def make(self, call: Call, *, afresh: bool) -> HttpAnswer:
        """The answer's head, by the client that can make the call; see `HttpClient.send`."""
        if is_plain(call):
            return await self._plain.send(call, afresh=afresh)
        assert self._aiohttp is not None
        self._plain.make_room()
        return await self._aiohttp.send(call, afresh=afresh)

    async def call(
        self, method: str, request: Request, *, tls: ssl.SSLContext | None, connect_seconds: float
    ) -> Call:
        """The request as it goes out, its body from the start; raises AttemptFailedError."""
        body = request.body
        size = 0
        if isinstance(body, RequestBody):
            size, body = await body.sent()
        elif body is not None:
            size = len(body)
        return Call(
            method=method,
            url=request.url,
            headers=request.headers,
            body=body,
            body_bytes=size,
            tls=tls,
            proxy=self._proxies.of(request.url),
            connect_seconds=connect_seconds,
        )


class Exchange:
    """One call and its answer, which use one of the connections from entering to leaving.

    Entering gives the answer's head. It raises CallFailedError, and TimeoutError where no
    connection was made in time. A call is made once more where a kept connection was closed just
    then: nothing of an answer has come, and it bears the same Idempotency-Key.
    """

    def __init__(
        self,
        connections: UpstreamConnections,
        method: str,
        request: Request,
        *,
        tls: ssl.SSLContext | None,
        connect_seconds: float,
    ) -> None:
        self._connections = connections
        self._method = method
        self._request = _authorized_once(request)
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._answer: HttpAnswer | None = None

    async def __aenter__(self) -> HttpAnswer:
        await self._connections.take_place()
        try:
            started_at = time.monotonic()
            try:
                self._answer = await self._made(afresh=False)
            except KeptConnectionClosedError:
                if time.monotonic() - started_at >= RACE_SECONDS:
                    raise
                self._answer = await self._made(afresh=True)
        except BaseException:
            self._connections.leave_place()
            raise
        return self._answer

    async def __aexit__(self, *raised: object) -> None:
        assert self._answer is not None
        try:
            await self._answer.__aexit__(*raised)
        finally:
            self._connections.leave_place()

    async def _made(self, *, afresh: bool) -> HttpAnswer:
        call = await self._connections.call(
            self._method, self._request, tls=self._tls, connect_seconds=self._connect_seconds
        )
        return await self._connections.make(call, afresh=afresh)


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
