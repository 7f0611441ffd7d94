"""One connection to an origin: it bears one call after another, each with an answer of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, cast

from asyncexecutor.http.incoming_answer import IncomingAnswer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

READ_AHEAD_BYTES = 65_536
"""So much of a body may lie here untaken; then nothing more is read until it is taken."""
_TOGETHER_BYTES = 65_536
"""A body so small is written with its head, in one packet where it fits."""


class Origin(NamedTuple):
    """Where a connection leads, and how it is secured."""

    host: str
    port: int
    tls: ssl.SSLContext | None


class Connection(asyncio.Protocol):
    """A connection, and the answer that is coming in on it."""

    def __init__(self, origin: Origin, *, on_lost: Callable[[Connection], None]) -> None:
        self.origin = origin
        self.has_served = False
        """Whether it has borne a call before the one of now."""
        self.idle_since = 0.0
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._incoming: IncomingAnswer | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_paused = False
        self._error: Exception | None = None

    @property
    def is_open(self) -> bool:
        """Whether a call can still be written on it, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_flushed(self) -> bool:
        """Whether all that was written has gone out."""
        return self._transport is not None and self._transport.get_write_buffer_size() == 0

    def ask(self, head: bytes, body: bytes | None, *, is_head: bool) -> IncomingAnswer:
        """Write a call; what comes from now on is its answer."""
        incoming = self._incoming = IncomingAnswer(is_head=is_head)
        if self._transport is None:
            incoming.end(self._error)
        elif body and len(body) > _TOGETHER_BYTES:
            self._transport.write(head)
            self._transport.write(body)
        else:
            self._transport.write(head + body if body else head)
        return incoming

    async def news(self) -> None:
        """Return when something has come in, or the connection has ended."""
        self._go_on_reading()
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def rest(self, *, since: float) -> None:
        """Bear no call for now."""
        self._incoming = None
        self.has_served = True
        self.idle_since = since
        self._go_on_reading()

    def abort(self) -> None:
        """End it at once."""
        self._incoming = None
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        incoming = self._incoming
        if incoming is None:
            # Nobody has asked for anything.
            self.abort()
            return
        incoming.feed(data)
        if incoming.buffered_bytes > READ_AHEAD_BYTES and not self._is_paused and self.is_open:
            assert self._transport is not None
            self._is_paused = True
            self._transport.pause_reading()
        if self._waiter is not None and (incoming.head_is_complete or incoming.fault is not None):
            self._wake(self._waiter)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._error = exc
        self._on_lost(self)
        if self._incoming is not None:
            self._incoming.end(exc)
        if self._waiter is not None:
            self._wake(self._waiter)

    def _go_on_reading(self) -> None:
        if self._is_paused and self.is_open:
            assert self._transport is not None
            self._is_paused = False
            self._transport.resume_reading()

    @staticmethod
    def _wake(waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)
