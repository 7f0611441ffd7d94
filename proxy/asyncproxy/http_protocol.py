"""HTTP/1.1 of one connection: uvicorn's protocol, with a bound on all that a peer can do.

uvicorn bounds neither the head of a request nor how many are pipelined, waits for ever for one that
is half sent, keeps what a client never reads, and drops the body of a request that asks for an
upgrade. A connection's way, with what may end it at each step:

    made ──▶ idle ──▶ head ──▶ body ──▶ parked ──▶ answered ──▶ idle …
     │        │        │        │         │           │
     │        │        │        │         │           └ not read for write_seconds: cut
     │        │        │        │         └ the peer is gone: what waits for its `Caller` ends
     │        │        │        └ slower than allowed: 408
     │        │        └ too long: 414, 431; not done in head_seconds: 408; no HTTP: 400
     │        └ nothing for keep_alive_seconds: closed
     └ more than max_connections: 503

What is refused is answered, and then read on for a moment: a peer that still sends when its
connection is cut may never see why (RFC 9112 §9.6).
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from asyncproxy.caller import caller_of, set_caller
from asyncproxy.metrics import CONNECTIONS, REFUSED_CONNECTIONS
from asyncproxy.problems import (
    HeadersTooLargeError,
    MalformedRequestError,
    RequestTimeoutError,
    TooManyConnectionsError,
    UrlTooLongError,
    on_error,
)

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from asyncproxy.problems import RefusedRequestError

PIPELINED = 8
"""Requests that may wait behind one on its connection; the connection ends after that many."""
MAX_HEADERS = 256
LINGER_SECONDS = 2.0
"""How long a refused peer is read on, so that it sees why."""
MAX_LINGERING = 1_000
LEAST_BYTES_PER_SECOND = 1_024
"""What a body has to bring in each `body_seconds` that it takes beyond the first."""
_CLOSED = 7
"""TCP_CLOSE of linux/tcp_states.h: the peer has reset the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What one proxy takes of its connections."""

    max_connections: int = 25_000
    max_url_bytes: int = 16_384
    max_header_bytes: int = 65_536
    """Of the request line and all headers of one request."""
    keep_alive_seconds: float = 75
    head_seconds: float = 15
    body_seconds: float = 30
    """And a second more for each LEAST_BYTES_PER_SECOND that have come."""
    write_seconds: float = 30
    """How long a client may leave unread what was sent to it."""


@dataclass(slots=True)
class ConnectionCount:
    """How many connections of one server are taken; what is refused is not, though it lingers."""

    taken: int = 0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol within `HttpLimits`. `enforce` has to be called now and then."""

    def __init__(
        self, *args: Any, limits: HttpLimits, count: ConnectionCount, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._count = count
        self._is_taken = False
        self._started: RequestResponseCycle | None = None
        """The request that is being answered, or was last; others may be pipelined behind it."""
        self._deadline: float | None = None
        """When what the peer has begun must be done; None where it is our turn."""
        self._stalled_since: float | None = None
        self._is_deaf = False
        """Nothing more is read of this connection: it ends with what is being answered."""
        self._is_half_closed = False
        self._is_in_head = False
        self._is_in_body = False
        self._is_upgrading = False
        self._heads_begun = 0
        self._head_bytes = 0
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - asyncio gives it a meaning
        """Take the connection, or answer that there are too many."""
        super().connection_made(transport)
        CONNECTIONS.inc()
        self._expect_within(self._limits.keep_alive_seconds)
        if self._count.taken < self._limits.max_connections:
            self._is_taken = True
            self._count.taken += 1
        elif len(self.connections) - self._count.taken > MAX_LINGERING:
            transport.abort()
        else:
            self._refuse(TooManyConnectionsError(self._limits.max_connections))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for an answer to it that nobody will read that."""
        CONNECTIONS.dec()
        self._count.taken -= self._is_taken
        waiting = [cycle for cycle, _ in self.pipeline]
        if self._started is not None and not self._started.response_complete:
            waiting.append(self._started)
        super().connection_lost(exc)
        for cycle in waiting:
            cycle.disconnected = True
            cycle.message_event.set()
            caller_of(cycle.scope).leave()  # type: ignore[arg-type]

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride] - asyncio gives it a meaning
        """Answer a client that has sent all and only listens: shutdown(SHUT_WR), as scripts do.

        One that has closed looks the same until something is sent to it. An interim response says
        nothing to the first (RFC 9110 §15.2) and makes the second's system reset the connection;
        so does a stream's filler.
        """
        if self._is_in_head or self._is_in_body or not self._is_answering:
            return False
        self._is_half_closed = True
        started = self._started
        if started and started.scope["http_version"] == "1.1":
            filler = caller_of(started.scope).filler  # type: ignore[arg-type]
            if not started.response_started:
                self.transport.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            elif filler is not None:
                self.transport.write(b"%x\r\n%s\r\n" % (len(filler), filler))
        return True

    def enforce(self, now: float) -> None:
        """End the connection if its peer has had the time it may have."""
        if self.transport.is_closing():
            return
        stalled_since = now if self._stalled_since is None else self._stalled_since
        if now - stalled_since > self._limits.write_seconds:
            REFUSED_CONNECTIONS.labels("stalled").inc()
            self.transport.abort()
        elif self._is_half_closed and _is_reset(self.transport):
            self.transport.abort()
        elif self._deadline is not None and now > self._deadline:
            if self.flow.read_paused:  # we have not let it
                self._expect_within(self._limits.body_seconds)
            elif self._is_deaf or not (self._is_in_head or self._is_in_body):
                self.transport.close()
            else:
                self._refuse(RequestTimeoutError())

    def data_received(self, data: bytes) -> None:
        """Parse what has come, within the limits."""
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        is_idle = not (self._is_in_head or self._is_in_body)
        self._heads_begun = 0
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(MalformedRequestError())
            return
        if self._is_in_head and self._heads_begun <= is_idle:  # all of it was of this head
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.max_header_bytes:
                self._refuse(HeadersTooLargeError(self._limits.max_header_bytes, MAX_HEADERS))

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError from upgrade
            # The parser leaves what follows to another protocol. There is none: the request is read
            # once more without its wish, and with its body (RFC 9110 §7.8 lets a server ignore it).
            head = _without_upgrade(self.parser, self.url, self.headers)
            self._is_upgrading = False
            self.parser = httptools.HttpRequestParser(self)
            self._feed(head + data[upgrade.args[0] :])

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        set_caller(self.scope)  # type: ignore[arg-type]
        self._is_in_head = True
        self._heads_begun += 1
        self._head_bytes = 0
        self._expect_within(self._limits.head_seconds)

    def on_headers_complete(self) -> None:
        """Its head is there: start it, queue it behind another, or refuse it."""
        self._is_in_head = False
        if self._is_deaf:
            return
        if self.parser.should_upgrade():
            self._is_upgrading = True
            return
        if error := self._fault_of_head():
            self._refuse(error)
            return
        if len(self.pipeline) >= PIPELINED:
            self._end_after_answers()
            return
        super().on_headers_complete()
        self._is_in_body = True
        self._body_bytes = 0
        self._expect_within(self._limits.body_seconds)

    def _fault_of_head(self) -> RefusedRequestError | None:
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            return MalformedRequestError()
        if len(self.url) > self._limits.max_url_bytes:
            return UrlTooLongError(self._limits.max_url_bytes)
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.max_header_bytes or len(self.headers) > MAX_HEADERS:
            return HeadersTooLargeError(self._limits.max_header_bytes, MAX_HEADERS)
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            return MalformedRequestError(f"It has {hosts} Host headers, not one (RFC 9112 §3.2).")
        return None

    def on_body(self, body: bytes) -> None:
        """Part of its body is there."""
        if self._is_deaf or self._is_upgrading:
            return
        self._body_bytes += len(body)
        # By what came lately, or who has sent much could then hold it for long.
        if self._body_bytes >= self._limits.body_seconds * LEAST_BYTES_PER_SECOND:
            self._body_bytes = 0
            self._expect_within(self._limits.body_seconds)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        if self._is_deaf or self._is_upgrading:
            return
        self._is_in_body = False
        self._deadline = None
        super().on_message_complete()
        if not self._is_answering:  # it was answered before it had been read
            self._expect_within(self._limits.keep_alive_seconds)

    def on_response_complete(self) -> None:
        """It has been answered: the next one may come."""
        super().on_response_complete()
        if self._is_answering:
            return
        if self._is_deaf:
            self._hang_up()
        elif not self._is_in_body and not self._is_in_head:
            self._expect_within(self._limits.keep_alive_seconds)

    def pause_writing(self) -> None:
        """The peer does not read."""
        super().pause_writing()
        self._stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        """It has read on."""
        super().resume_writing()
        self._stalled_since = None

    @property
    def _is_answering(self) -> bool:
        return self._started is not None and not self._started.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._started = cycle
        super()._start_asgi_task(cycle, app)

    def _expect_within(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds

    def _end_after_answers(self) -> None:
        """Answer what has been read whole, and nothing more."""
        self._is_deaf = True
        self._deadline = None
        if self._is_in_body and self.pipeline:
            self.pipeline.popleft()

    def _hang_up(self) -> None:
        """Send nothing more, and read on for a moment what the peer still sends."""
        if not self.transport.is_closing():
            self.transport.write_eof()
            self._expect_within(LINGER_SECONDS)

    def _refuse(self, error: RefusedRequestError) -> None:
        REFUSED_CONNECTIONS.labels(error.reason).inc()
        is_of_started = self._is_in_body and not self.pipeline
        if self._is_answering and not is_of_started:
            self._end_after_answers()
            return
        self._is_deaf = True
        if is_of_started and self.cycle.response_started:
            self.transport.close()
            return
        if is_of_started:  # the application waits for the rest of it
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_answer(error))
        self._hang_up()


def _without_upgrade(parser: Any, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [b" ".join((parser.get_method(), url, b"HTTP/" + parser.get_http_version().encode()))]
    dropped = {b"upgrade", b"http2-settings"}
    for name, value in headers:
        if name == b"connection":
            kept = [option for option in value.split(b",") if option.strip().lower() not in dropped]
            lines.append(b"connection: " + b",".join(kept))
        elif name not in dropped:
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


def _answer(error: RefusedRequestError) -> bytes:
    response = on_error(None, error)
    date = formatdate(usegmt=True).encode()
    head = [STATUS_LINE[response.status_code], b"date: ", date, b"\r\nconnection: close\r\n"]
    head += [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
    return b"".join([*head, b"\r\n", bytes(response.body)])


def _is_reset(transport: asyncio.Transport) -> bool:
    if sys.platform != "linux":
        return False
    connection = transport.get_extra_info("socket")
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return bool(state[0] == _CLOSED)
