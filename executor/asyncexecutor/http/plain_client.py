"""The client for plain calls: HTTP/1.1 over TCP or TLS, with httptools for a parser.

Its one purpose is to be cheap. What it does not do, another client does (`call.is_plain`).
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from asyncexecutor.http.connection import Origin
from asyncexecutor.http.connection_pool import ConnectionPool
from asyncexecutor.http.dialer import Dialer
from asyncexecutor.http.faults import (
    BROKEN,
    AddressInvalidError,
    ConnectionFailedError,
    KeptConnectionClosedError,
)
from asyncexecutor.http.request_head import request_head

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from asyncexecutor.http.call import Call
    from asyncexecutor.http.connection import Connection
    from asyncexecutor.http.host_addresses import Hosts
    from asyncexecutor.http.incoming_answer import IncomingAnswer


class PlainAnswer:
    """See `HttpAnswer`."""

    def __init__(
        self, connection: Connection, incoming: IncomingAnswer, pool: ConnectionPool
    ) -> None:
        self._connection = connection
        self._incoming = incoming
        self._pool = pool
        self._headers: CIMultiDict[str] | None = None

    @property
    def status(self) -> int:
        """See `HttpAnswer`."""
        return self._incoming.status

    @property
    def raw_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """See `HttpAnswer`."""
        return self._incoming.raw_headers

    @property
    def headers(self) -> Mapping[str, str]:
        """See `HttpAnswer`."""
        if self._headers is None:
            self._headers = CIMultiDict(
                [
                    (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
                    for name, value in self._incoming.raw_headers
                ]
            )
        return self._headers

    @property
    def body_bytes(self) -> int:
        """See `HttpAnswer`."""
        return self._incoming.body_bytes

    async def more(self) -> bytes:
        """See `HttpAnswer`."""
        incoming = self._incoming
        while True:
            if taken := incoming.take():
                return taken
            if incoming.fault is not None:
                raise incoming.fault
            if incoming.is_complete:
                return b""
            await self._connection.news()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        connection = self._connection
        if (
            self._incoming.leaves_connection_usable
            and connection.is_open
            # An upstream that has answered early may not read the rest of the call.
            and connection.is_flushed
        ):
            self._pool.keep(connection)
        else:
            connection.abort()


class PlainClient:
    """See `HttpClient`; it makes calls of which `is_plain` is true."""

    def __init__(self, *, room: Callable[[], int], hosts: Hosts | None = None) -> None:
        self._room = room
        """How many connections may be idle at present."""
        self._pool = ConnectionPool()
        self._dialer = Dialer(on_lost=self._pool.forget, hosts=hosts)
        self._system_tls: ssl.SSLContext | None = None
        self._making_tls = asyncio.Lock()

    async def send(self, call: Call, *, afresh: bool) -> PlainAnswer:
        """See `HttpClient`."""
        head = request_head(call)
        origin = await self._origin(call)
        connection = None if afresh else self._pool.take(origin)
        if connection is None:
            self.make_room()
            connection = await self._dialer.connect(origin, connect_seconds=call.connect_seconds)
        try:
            assert call.body is None or isinstance(call.body, bytes)
            incoming = connection.ask(head, call.body, is_head=call.method == "HEAD")
            await _head(connection, incoming)
        except BaseException:
            connection.abort()
            raise
        return PlainAnswer(connection, incoming, self._pool)

    def make_room(self) -> None:
        """End idle connections, as many as another one in use leaves no room for."""
        self._pool.shrink(self._room())

    def close(self) -> None:
        """End the idle connections."""
        self._pool.close()

    async def _origin(self, call: Call) -> Origin:
        url = call.url
        if url.raw_host is None or url.port is None:
            raise AddressInvalidError
        tls = call.tls
        if url.scheme == "http":
            tls = None
        elif tls is None:
            tls = self._system_tls or await self._made_system_tls()
        return Origin(url.raw_host, url.port, tls)

    async def _made_system_tls(self) -> ssl.SSLContext:
        async with self._making_tls:
            if self._system_tls is None:
                # It reads some hundred certificates from the disk.
                made = await asyncio.to_thread(ssl.create_default_context)
                made.set_alpn_protocols(["http/1.1"])
                self._system_tls = made
        return self._system_tls


async def _head(connection: Connection, incoming: IncomingAnswer) -> None:
    while incoming.fault is None and not incoming.head_is_complete:
        await connection.news()
    fault = incoming.fault
    if fault is None:
        return
    if not isinstance(fault, ConnectionFailedError) or incoming.has_begun:
        raise fault
    if connection.has_served:
        raise KeptConnectionClosedError(str(fault))
    # By TLS 1.3 a server refuses our certificate, or its lack, only after our side is done.
    raise fault if connection.origin.tls is None else ConnectionFailedError(BROKEN)
