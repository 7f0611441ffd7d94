"""How both clients use connections: again, never for what is not theirs, and never for too long."""

import asyncio
import socket
import ssl
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from asyncexecutor.http import connection_pool
from asyncexecutor.http.call import HttpClient
from asyncexecutor.http.faults import (
    AddressInvalidError,
    ConnectionFailedError,
    KeptConnectionClosedError,
)
from asynctestkit.certificates import write_certificates
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.http_clients import call_of, got, http_client
from asynctestkit.ports import free_port
from asynctestkit.scripted_upstream import OK, Scripted, head, request_on, serving

LARGE = 50_000_000


class Watched:
    """Answers once a connection as it is told to, and notes when the caller has hung up."""

    def __init__(self, answer: bytes, *, until_gone: bool = True) -> None:
        self.answer = answer
        self.until_gone = until_gone
        self.is_asked = asyncio.Event()
        self.is_gone = asyncio.Event()
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        self.is_asked.set()
        writer.write(self.answer)
        try:
            while await reader.read(65_536):
                pass
        except OSError:
            pass
        self.is_gone.set()


async def within_patience(what: Any) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await what


async def test_a_connection_that_the_upstream_closes_while_idle_is_noticed(client: HttpClient):
    gone = asyncio.Event()
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request_on(reader)
        writer.write(OK)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with serving(once) as port:
        for _ in range(3):
            gone.clear()
            assert (await got(client, call_of(port))).body == b"ok"
            await within_patience(gone.wait())
            # Until the loop has read that the connection has ended.
            await asyncio.sleep(0.05)
    assert connections == 3


async def test_a_kept_connection_that_ends_when_it_is_used_says_so(client: HttpClient):
    # By aiohttp a GET would be sent again of itself.
    upstream = Scripted(OK, b"", b"")
    async with serving(upstream) as port:
        await got(client, call_of(port, "POST"))
        with pytest.raises(KeptConnectionClosedError):
            await got(client, call_of(port, "POST"))
        # That was not kept, but new.
        with pytest.raises(ConnectionFailedError) as caught:
            await got(client, call_of(port, "POST"))
    assert not isinstance(caught.value, KeptConnectionClosedError)


async def test_a_kept_connection_that_ends_within_an_answer_is_no_such_one(client: HttpClient):
    cut = head(b"Content-Length: 9")[:-6]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (OK, cut):
            await request_on(reader)
            writer.write(answer)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with serving(serve) as port:
        await got(client, call_of(port, "POST"))
        with pytest.raises(ConnectionFailedError) as caught:
            await got(client, call_of(port, "POST"))
    assert not isinstance(caught.value, KeptConnectionClosedError)


async def test_afresh_means_a_new_connection():
    upstream = Scripted(OK)
    async with serving(upstream) as port, http_client("plain") as client:
        await got(client, call_of(port))
        await got(client, call_of(port), afresh=True)
    assert upstream.connections == 2


async def test_an_answer_that_nobody_reads_to_its_end_closes_its_connection(client: HttpClient):
    upstream = Watched(head(b"Content-Length: 100") + b"a part")
    async with serving(upstream) as port:
        async with await client.send(call_of(port), afresh=False) as answer:
            assert answer.body_bytes == 100
        await within_patience(upstream.is_gone.wait())


async def test_a_call_that_is_cancelled_closes_its_connection(client: HttpClient):
    upstream = Watched(b"")
    async with serving(upstream) as port:
        call = asyncio.create_task(client.send(call_of(port), afresh=False))
        await within_patience(upstream.is_asked.wait())
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await within_patience(upstream.is_gone.wait())


async def test_a_body_whose_reading_is_cancelled_closes_its_connection(client: HttpClient):
    upstream = Watched(head(b"Content-Length: 100"))
    async with serving(upstream) as port:
        reading = asyncio.create_task(got(client, call_of(port)))
        await within_patience(upstream.is_asked.wait())
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await within_patience(upstream.is_gone.wait())


async def test_an_answer_before_the_end_of_the_call_is_heard():
    upstream = Watched(head(b"Content-Length: 4", status=b"413 Content Too Large") + b"much")
    body = bytes(LARGE)

    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(upstream.answer)
        await writer.drain()
        await asyncio.Event().wait()

    # To aiohttp a body so large is a stream.
    async with serving(refuses) as port, http_client("plain") as client:
        for _ in range(2):
            answer = await got(client, call_of(port, "POST", body))
            assert (answer.status, answer.body) == (413, b"much")
    # What was not read of one call would be the begin of the next.
    assert upstream.connections == 2


async def test_a_large_body_goes_out_whole(client: HttpClient):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked = await request_on(reader)
            received = asked.partition(b"\r\n\r\n")[2]
            told = b"%d %d" % (len(received), received.count(b"y"))
            writer.write(head(b"Content-Length: %d" % len(told)) + told)

    async with serving(serve) as port:
        for size in (1, 65_536, 65_537, 1_000_000):
            answer = await got(client, call_of(port, "POST", b"y" * size))
            assert answer.body == b"%d %d" % (size, size)


async def test_a_body_is_read_no_faster_than_it_is_taken(client: HttpClient):
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request_on(reader)
        writer.write(head(b"Content-Length: %d" % LARGE))
        while sent < LARGE:
            writer.write(b"y" * 100_000)
            await writer.drain()
            sent += 100_000

    async with serving(serve) as port:
        tracemalloc.start()
        try:
            async with (
                asyncio.timeout(PATIENCE_SECONDS),
                await client.send(call_of(port), afresh=False) as answer,
            ):
                before = -1
                while before != sent:
                    before = sent
                    await asyncio.sleep(0.2)
                # The rest is held by the two sockets, whose buffers are the system's.
                assert sent < LARGE / 2
                received = 0
                while more := await answer.more():
                    received += len(more)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert received == LARGE
    assert peak < 4_000_000


async def test_a_connection_that_is_reset_is_told(client: HttpClient):
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        connection = writer.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with serving(reset) as port:
        with pytest.raises(ConnectionFailedError, match="it was reset or ended while"):
            await got(client, call_of(port))


async def test_a_body_until_the_end_that_is_reset_is_not_whole():
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head() + b"a part")
        await writer.drain()
        # Read by the caller first: a reset drops what was not.
        await asyncio.sleep(0.2)
        connection = writer.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    # By aiohttp it would be.
    async with serving(reset) as port, http_client("plain") as client:
        with pytest.raises(ConnectionFailedError):
            await got(client, call_of(port))


async def test_where_nobody_listens_the_connection_is_refused(client: HttpClient):
    with pytest.raises(ConnectionFailedError, match="it was refused"):
        await got(client, call_of(free_port()))


@pytest.mark.parametrize("host", ["nowhere.invalid", "localhost.invalid."])
async def test_a_name_that_nobody_has_is_told(client: HttpClient, host: str):
    with pytest.raises(ConnectionFailedError, match="its name was not found"):
        await got(client, call_of(f"http://{host}/x"))


async def test_a_name_that_nobody_can_have_is_told(client: HttpClient):
    with pytest.raises(AddressInvalidError):
        await got(client, call_of(f"http://{'a' * 70}.example/x"))


async def test_a_server_that_says_nothing_is_given_up_when_the_time_to_connect_is_over(
    client: HttpClient,
):
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1_000_000)
        await asyncio.Event().wait()

    async with serving(silent) as port:
        url = f"https://127.0.0.1:{port}/x"
        with pytest.raises(TimeoutError):
            await client.send(call_of(url, connect_seconds=0.2), afresh=False)


async def test_tls_is_checked_and_its_connections_used_again(client: HttpClient, tmp_path: Path):
    server = write_certificates(tmp_path)
    upstream = Scripted(OK)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    async with serving(upstream, server) as port:
        url = f"https://127.0.0.1:{port}/x"
        for _ in range(2):
            assert (await got(client, call_of(url, tls=trusting))).body == b"ok"
        assert upstream.connections == 1
        # What one context trusts is not the other's.
        with pytest.raises(ConnectionFailedError, match="is not trusted"):
            await got(client, call_of(url))


async def test_a_server_without_tls_is_told(client: HttpClient):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with serving(plain) as port:
        with pytest.raises(ConnectionFailedError, match="TLS could not be agreed on"):
            await got(client, call_of(f"https://127.0.0.1:{port}/x"))


async def test_an_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_pool, "IDLE_SECONDS", 0.1)
    upstream = Watched(OK)
    async with serving(upstream) as port, http_client("plain") as client:
        await got(client, call_of(port))
        assert not upstream.is_gone.is_set()
        await within_patience(upstream.is_gone.wait())


async def test_what_comes_on_an_idle_connection_ends_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_pool, "IDLE_SECONDS", 3600.0)
    connections = 0
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request_on(reader)
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(head(b"Content-Length: 5", status=b"500 Not Asked For") + b"wrong")
        await writer.drain()
        await reader.read()
        gone.set()

    async with serving(serve) as port, http_client("plain") as client:
        await got(client, call_of(port))
        await within_patience(gone.wait())
        assert (await got(client, call_of(port))).status == 200
    assert connections == 2


async def test_closing_the_client_closes_its_connections():
    upstream = Watched(OK)
    async with serving(upstream) as port:
        async with http_client("plain") as client:
            await got(client, call_of(port))
        await within_patience(upstream.is_gone.wait())


async def test_many_calls_at_once_have_a_connection_each(client: HttpClient):
    upstream = Scripted(OK)
    async with serving(upstream) as port:
        answers = await asyncio.gather(*[got(client, call_of(port)) for _ in range(20)])
        assert [answer.body for answer in answers] == [b"ok"] * 20
        first = upstream.connections
        await asyncio.gather(*[got(client, call_of(port)) for _ in range(first)])
        assert upstream.connections == first
        await eventually(lambda: len(upstream.requests) == 20 + first)
