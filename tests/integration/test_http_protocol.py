"""What the proxy's server takes of a connection, over real sockets."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from asyncproxy.caller import caller_of
from asyncproxy.http_protocol import HttpLimits
from asyncproxy.metrics import REFUSED_CONNECTIONS
from asyncproxy.server import listen, serve
from asynctestkit.eventually import PATIENCE_SECONDS, eventually

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter

PARKS = b"GET /park HTTP/1.1\r\nHost: proxy\r\n\r\n"
ECHO = b"POST /echo HTTP/1.1\r\nHost: proxy\r\n"


@dataclass
class App:
    """Echoes method, path and body; /park waits for `answer`, /big answers much."""

    seen: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    gone: list[str] = field(default_factory=list[str])
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.seen.append((scope["path"], body))
        if scope["path"] == "/park":
            try:
                await caller_of(scope).unless_gone(self.answer.wait())
            except ClientDisconnect:
                self.gone.append(scope["path"])
                return
        answer = b"x" * 48_000_000 if scope["path"] == "/big" else scope["path"].encode() + body
        length = str(len(answer)).encode()
        headers = [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


@dataclass
class Served:
    app: App
    connect: Callable[[], Awaitable[tuple[Reader, Writer]]]


@asynccontextmanager
async def served(**limits: Any) -> AsyncGenerator[Served]:
    app, stop = App(), asyncio.Event()
    listener = listen("127.0.0.1", 0)
    writers: list[Writer] = []

    async def connect() -> tuple[Reader, Writer]:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writers.append(writer)
        return reader, writer

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve(
                app, listener=listener, stop=stop, shutdown_seconds=1, limits=HttpLimits(**limits)
            )
        )
        try:
            yield Served(app, connect)
        finally:
            app.answer.set()
            for writer in writers:
                writer.close()
            stop.set()


async def answered(reader: Reader) -> tuple[int, bytes]:
    """The next response's status and body, interim ones passed over."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split()[1])
            if status >= 200:
                break
        assert b"\r\ndate: " in head  # whoever answers (RFC 9110 §6.6.1)
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        return status, await reader.readexactly(length)


async def date(reader: Reader) -> datetime:
    """When the next response says that it was made."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
    return parsedate_to_datetime(head.decode().lower().partition("\r\ndate: ")[2].split("\r\n")[0])


async def refused(reader: Reader) -> tuple[int, str]:
    """The status and type of a problem, after which the connection ends."""
    status, body = await answered(reader)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await reader.read() == b""
    return status, json.loads(body)["type"].rpartition("/")[2]


async def send(writer: Writer, data: bytes) -> None:
    writer.write(data)
    with suppress(ConnectionError):
        await writer.drain()


async def test_a_head_that_never_ends_is_431_however_it_comes():
    async with served() as it:
        for filler in (b"X-Filler: ", b"X-Filler: 1\r\n" * 20_000):
            reader, writer = await it.connect()
            await send(writer, b"GET / HTTP/1.1\r\nHost: proxy\r\n" + filler)
            for _ in range(40):
                await send(writer, b"x" * 16_384)
            assert await refused(reader) == (431, "headers-too-large")
        assert it.app.seen == []


async def test_a_head_that_is_too_large_at_once_is_431_at_once():
    async with served(head_seconds=600) as it:
        reader, writer = await it.connect()
        await send(writer, b"GET / HTTP/1.1\r\nX-Filler: " + b"x" * 70_000)
        assert await refused(reader) == (431, "headers-too-large")


async def test_a_head_within_the_limit_is_taken_however_it_comes():
    async with served(max_header_bytes=8_192) as it:
        reader, writer = await it.connect()
        head = b"GET /a HTTP/1.1\r\nHost: proxy\r\nX-Filler: " + b"x" * 7_000 + b"\r\n\r\n"
        for _ in range(3):
            await send(writer, head)
            assert await answered(reader) == (200, b"/a")
        for start in range(0, len(head), 500):
            await send(writer, head[start : start + 500])
            await asyncio.sleep(0)
        assert await answered(reader) == (200, b"/a")


async def test_a_long_url_is_414():
    async with served() as it:
        reader, writer = await it.connect()
        await send(writer, b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: proxy\r\n\r\n")
        assert await refused(reader) == (414, "url-too-long")


async def test_what_is_no_http_is_400():
    async with served() as it:
        for nonsense in (
            b"\x16\x03\x01\x02\x00",
            b"GET /\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n",
        ):
            reader, writer = await it.connect()
            await send(writer, nonsense)
            assert await refused(reader) == (400, "malformed-request")


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"GE", id="line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost", id="head"),
        pytest.param(ECHO + b"Content-Length: 10\r\n\r\n12345", id="body"),
        pytest.param(ECHO + b"Transfer-Encoding: chunked\r\n\r\n5\r\n123", id="chunk"),
    ],
)
async def test_a_request_that_stops_on_its_way_is_408(begun: bytes):
    async with served(head_seconds=0.2, body_seconds=0.2) as it:
        reader, writer = await it.connect()
        await send(writer, begun)
        assert await refused(reader) == (408, "request-timeout")


async def test_a_body_that_comes_drop_by_drop_is_408():
    async with served(body_seconds=0.5) as it:
        reader, writer = await it.connect()
        await send(writer, ECHO + b"Content-Length: 100000\r\n\r\n")
        ended = asyncio.ensure_future(refused(reader))
        while not ended.done():
            await send(writer, b"x")
            await asyncio.wait([ended], timeout=0.05)
        assert ended.result() == (408, "request-timeout")


async def test_a_body_that_stops_after_much_of_it_is_408_as_soon_as_any_other():
    async with served(body_seconds=0.5) as it:
        reader, writer = await it.connect()
        await send(writer, ECHO + b"Content-Length: 100000\r\n\r\n" + b"x" * 90_000)
        async with asyncio.timeout(PATIENCE_SECONDS):  # at a KiB a second they would last 88 s
            assert await refused(reader) == (408, "request-timeout")


async def test_a_body_that_keeps_coming_may_take_its_time():
    async with served(body_seconds=0.5) as it:
        reader, writer = await it.connect()
        await send(writer, ECHO + b"Content-Length: 10000\r\n\r\n")
        for _ in range(20):
            await send(writer, b"x" * 500)
            await asyncio.sleep(0.05)
        assert (await answered(reader))[0] == 200


async def test_an_idle_connection_is_closed_and_a_parked_one_is_not():
    async with served(keep_alive_seconds=1, head_seconds=0.2, body_seconds=0.2) as it:
        idle, _ = await it.connect()
        parked, writer = await it.connect()
        await send(writer, PARKS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await idle.read() == b""
        it.app.answer.set()
        assert await answered(parked) == (200, b"/park")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await parked.read() == b""


async def test_a_client_that_never_reads_is_cut_off():
    async with served(write_seconds=0.3) as it:
        stalled: Any = REFUSED_CONNECTIONS.labels("stalled")
        before = stalled._value.get()
        reader, writer = await it.connect()
        await send(writer, b"GET /big HTTP/1.1\r\nHost: proxy\r\n\r\n")
        await eventually(lambda: _is(stalled._value.get(), before + 1))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(48_000_000)


async def test_pipelined_requests_are_answered_in_order_up_to_a_handful():
    async with served() as it:
        reader, writer = await it.connect()
        await send(
            writer, b"".join(b"GET /%d HTTP/1.1\r\nHost: p\r\n\r\n" % n for n in range(5_000))
        )
        answers: list[bytes] = []
        with suppress(asyncio.IncompleteReadError):
            while True:
                answers.append((await answered(reader))[1])
        assert answers == [b"/%d" % n for n in range(len(answers))]
        assert 1 < len(answers) < 20
        assert len(it.app.seen) == len(answers)


async def test_what_was_pipelined_behind_a_request_that_is_refused_is_not_answered():
    async with served() as it:
        reader, writer = await it.connect()
        await send(writer, PARKS + ECHO + b"Content-Length: 5\r\n\r\n12")
        await eventually(lambda: _is(len(it.app.seen), 1))
        await send(writer, b"345" + b"GET nonsense\r\n\r\n")
        it.app.answer.set()
        assert await answered(reader) == (200, b"/park")
        assert await answered(reader) == (200, b"/echo12345")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.read() == b""


async def test_more_connections_than_allowed_are_503_and_a_place_comes_free():
    async with served(max_connections=2) as it:
        (_, first), _ = await it.connect(), await it.connect()
        reader, _ = await it.connect()
        assert await refused(reader) == (503, "too-many-connections")
        first.close()

        async def is_taken() -> None:
            reader, writer = await it.connect()
            await send(writer, b"GET /a HTTP/1.1\r\nHost: proxy\r\n\r\n")
            assert await answered(reader) == (200, b"/a")

        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await is_taken()
                except (AssertionError, ConnectionError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0.05)
                else:
                    break


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_body_of_a_request_that_asks_for_an_upgrade_is_read(chunked: bool):
    head = (
        ECHO
        + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    )
    body = (
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        if chunked
        else b"Content-Length: 5\r\n\r\nhello"
    )
    async with served() as it:
        reader, writer = await it.connect()
        for _ in range(2):
            await send(writer, head + body)
            assert await answered(reader) == (200, b"/echohello")
        for start in range(len(head + body)):
            await send(writer, (head + body)[start : start + 1])
            await asyncio.sleep(0)
        assert await answered(reader) == (200, b"/echohello")


async def test_a_client_that_has_sent_all_and_only_listens_is_answered():
    async with served() as it:
        reader, writer = await it.connect()
        await send(writer, PARKS)
        writer.write_eof()
        await eventually(lambda: _is(len(it.app.seen), 1))
        it.app.answer.set()
        assert await answered(reader) == (200, b"/park")
        assert it.app.gone == []


async def test_a_request_of_http_1_0_needs_no_host():
    async with served() as it:
        reader, writer = await it.connect()
        await send(writer, b"GET /a HTTP/1.0\r\n\r\n")
        assert await answered(reader) == (200, b"/a")


async def test_an_answer_is_dated_by_its_end_however_long_its_caller_has_waited():
    async with served() as it:
        parked, writer = await it.connect()
        await send(writer, PARKS)
        await eventually(lambda: _is(len(it.app.seen), 1))
        began = datetime.now(UTC).replace(microsecond=0)

        async def of_another() -> datetime:
            reader, writer = await it.connect()
            await send(writer, b"GET /a HTTP/1.1\r\nHost: proxy\r\n\r\n")
            found = await date(reader)
            assert found > began
            return found

        later = await eventually(of_another)
        it.app.answer.set()
        assert await date(parked) >= later


async def test_the_application_is_told_of_a_caller_who_goes():
    async with served() as it:
        _, writer = await it.connect()
        await send(writer, PARKS)
        await eventually(lambda: _is(len(it.app.seen), 1))
        writer.close()
        await eventually(lambda: _is(it.app.gone, ["/park"]))


def _is(value: Any, expected: Any) -> None:
    assert value == expected
