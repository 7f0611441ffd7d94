"""What both clients make of an answer, byte by byte as an upstream may send it."""

import asyncio
from dataclasses import dataclass

import pytest

from asyncexecutor.http.call import HttpClient
from asyncexecutor.http.faults import AnswerInvalidError, ConnectionFailedError
from asynctestkit.http_clients import call_of, got, http_client
from asynctestkit.scripted_upstream import OK, Scripted, head, request_on, serving

LIMIT = 65_536


@dataclass(frozen=True)
class Read:
    """An answer that is read, and whether its connection bears another call."""

    answer: bytes
    status: int = 200
    body: bytes = b"ok"
    method: str = "GET"
    is_kept: bool = True
    is_closed: bool = False
    """Whether the upstream closes the connection behind it."""


CHUNKED = head(b"Transfer-Encoding: chunked")
READ = {
    "a length": Read(OK),
    "no length at all, and none needed": Read(head(b"Content-Length: 0"), body=b""),
    "chunks": Read(CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
    "chunks with extensions": Read(CHUNKED + b"2;a=b;c\r\nok\r\n0\r\n\r\n"),
    "chunks with trailers": Read(CHUNKED + b"2\r\nok\r\n0\r\nA: b\r\nC: d\r\n\r\n"),
    "several codings, of which the last is chunked": Read(
        head(b"Transfer-Encoding: gzip, chunked") + b"2\r\nok\r\n0\r\n\r\n"
    ),
    "until the connection ends": Read(head(b"X: 1") + b"ok", is_kept=False, is_closed=True),
    "a coding that ends with the connection": Read(
        head(b"Transfer-Encoding: gzip") + b"ok", is_kept=False, is_closed=True
    ),
    "HTTP/1.0": Read(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", is_kept=False),
    "HTTP/1.0 that is kept": Read(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    ),
    "HTTP/1.0 until the end": Read(b"HTTP/1.0 200 OK\r\n\r\nok", is_kept=False, is_closed=True),
    "Connection: close": Read(
        head(b"Connection: Close, x", b"Content-Length: 2") + b"ok", is_kept=False
    ),
    "204": Read(head(status=b"204 No Content"), status=204, body=b""),
    "204 with a length": Read(
        head(b"Content-Length: 5", status=b"204 No Content"), status=204, body=b""
    ),
    "304 with the length of what is not sent": Read(
        head(b"Content-Length: 5", status=b"304 Not Modified"), status=304, body=b""
    ),
    "HEAD with the length of what is not sent": Read(
        head(b"Content-Length: 5"), method="HEAD", body=b""
    ),
    "HEAD with the chunks that are not sent": Read(CHUNKED, method="HEAD", body=b""),
    "interim answers": Read(
        head(status=b"100 Continue") + head(b"Link: </a>", status=b"103 Early Hints") + OK
    ),
    "an interim answer with a length": Read(
        head(b"Content-Length: 5", status=b"102 Processing") + OK
    ),
    "another protocol": Read(
        head(b"Upgrade: x", b"Connection: upgrade", status=b"101 Switching Protocols"),
        status=101,
        body=b"",
        is_kept=False,
    ),
    "an offer of another protocol": Read(
        head(b"Upgrade: h2c", b"Connection: upgrade", b"Content-Length: 2") + b"ok"
    ),
    "no reason": Read(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    "lines that end as on Unix": Read(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    "a header in two lines": Read(head(b"X: a", b" b", b"Content-Length: 2") + b"ok"),
    "a header without a value": Read(head(b"X:", b"Y: ", b"Content-Length: 2") + b"ok"),
    "a space before the colon": Read(head(b"Content-Length : 2") + b"ok"),
    "an empty line behind it": Read(OK + b"\r\n"),
    "another answer behind it": Read(OK + OK, is_kept=False),
    "a line as long as any": Read(head(b"X: " + b"y" * (LIMIT - 1), b"Content-Length: 2") + b"ok"),
    "two such lines": Read(head(*[b"X: " + b"y" * (LIMIT - 1)] * 2, b"Content-Length: 2") + b"ok"),
    "as many headers as any": Read(head(*[b"X: 1"] * 511, b"Content-Length: 2") + b"ok"),
}


@pytest.mark.parametrize("case", READ.values(), ids=READ)
async def test_an_answer_is_read_and_its_connection_used_again_where_that_is_safe(
    client: HttpClient, case: Read
):
    upstream = Scripted(case.answer, b"") if case.is_closed else Scripted(case.answer)
    if case.is_closed:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            upstream.connections += 1
            await request_on(reader)
            writer.write(case.answer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    else:
        serve = upstream

    async with serving(serve) as port:
        first = await got(client, call_of(port, case.method))
        second = await got(client, call_of(port, case.method))
    assert (first.status, first.body) == (case.status, case.body)
    assert second == first
    assert upstream.connections == (1 if case.is_kept else 2)


@pytest.mark.parametrize("case", [READ["interim answers"], READ["chunks with trailers"]])
async def test_an_answer_that_comes_byte_by_byte_is_the_same(client: HttpClient, case: Read):
    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_on(reader)
            for byte in case.answer:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)

    async with serving(drips) as port:
        for _ in range(2):
            answer = await got(client, call_of(port))
            assert (answer.status, answer.body) == (case.status, case.body)


async def test_headers_stay_as_they_came(client: HttpClient):
    given = (b"X-b: 1", b"x-B:2 \t", b"A:", b"C: \xfc\x01 d", b"Content-Length: 0")
    async with (
        serving(Scripted(head(b"D: 1", status=b"103 Early Hints") + head(*given))) as port,
        await client.send(call_of(port), afresh=False) as answer,
    ):
        assert [*answer.raw_headers] == [
            (b"X-b", b"1"),
            (b"x-B", b"2"),
            (b"A", b""),
            (b"C", b"\xfc\x01 d"),
            (b"Content-Length", b"0"),
        ]
        assert answer.headers.get("x-b") == answer.headers["X-B"] == "1"
        assert answer.headers.get("x-d") is None


@pytest.mark.parametrize(
    ("answer", "method", "told"),
    [
        (OK, "GET", 2),
        (OK[:-2], "HEAD", 0),
        (CHUNKED + b"0\r\n\r\n", "GET", 0),
        (head(b"Content-Length: 7", status=b"304 Not Modified"), "GET", 0),
    ],
)
async def test_how_long_a_body_will_be_is_known_with_its_head(
    client: HttpClient, answer: bytes, method: str, told: int
):
    async with serving(Scripted(answer)) as port:
        read = await got(client, call_of(port, method))
    assert read.body_bytes == told


INVALID = {
    "a line that is too long": (head(b"X: " + b"y" * LIMIT), "longer than 65536 bytes"),
    "a name that is too long": (head(b"y" * LIMIT + b": 1"), "longer than 65536 bytes"),
    "a line without an end": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 400_000, "longer than 65536"),
    "a reason without an end": (b"HTTP/1.1 200 " + b"y" * 400_000, "longer than 65536 bytes"),
    "too many headers": (head(*[b"X: 1"] * 513), "more than 512 headers"),
    "two lengths": (head(b"Content-Length: 2", b"Content-Length: 2") + b"ok", "Content-Length"),
    "a length below none": (head(b"Content-Length: -1"), "Invalid character in Content-Length"),
    "a length with a sign": (head(b"Content-Length: +2") + b"ok", "Content-Length"),
    "a length in two": (head(b"Content-Length: 2, 2") + b"ok", "Content-Length"),
    "a length that is empty": (head(b"Content-Length:") + b"ok", "Content-Length"),
    "a length beyond counting": (head(b"Content-Length: " + b"9" * 30), "Content-Length overflow"),
    "a length and chunks": (
        head(b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"2\r\nok\r\n0\r\n\r\n",
        "Transfer-Encoding can't be present with Content-Length",
    ),
    "chunks and a length": (
        head(b"Transfer-Encoding: chunked", b"Content-Length: 2") + b"2\r\nok\r\n0\r\n\r\n",
        "Content-Length can't be present with",
    ),
    "a chunk without a size": (CHUNKED + b"zz\r\nok", "Invalid character in chunk size"),
    "a chunk longer than it says": (CHUNKED + b"1\r\nok\r\n0\r\n\r\n", "after chunk data"),
    "a body where none can be": (
        head(b"Content-Length: 2", status=b"204 No Content") + b"ok",
        "goes on after its end",
    ),
    "rubbish behind it": (OK + b"rubbish", "goes on after its end"),
    "a header with a zero": (head(b"X: a\x00b", b"Content-Length: 0"), "that none may have"),
    "a name with a zero": (head(b"X\x00: a", b"Content-Length: 0"), "Invalid header token"),
    "a header without a name": (head(b": a", b"Content-Length: 0"), "Invalid header token"),
    "a line without a colon": (head(b"what", b"Content-Length: 0"), "Invalid header token"),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", "does not begin with a status line"),
    "HTTP/3.7": (b"HTTP/3.7 200 OK\r\n\r\n", "does not begin with a status line"),
    "a page": (b"<html>hello</html>", "does not begin with a status line"),
    "TLS": (b"\x16\x03\x01 I am no HTTP \xff\xfe\r\n\r\n", "does not begin with a status line"),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "does not begin with a status line"),
}


@pytest.mark.parametrize(("answer", "told"), INVALID.values(), ids=INVALID)
async def test_what_is_no_answer_is_told_and_its_connection_closed(
    client: HttpClient, answer: bytes, told: str
):
    upstream = Scripted(answer)
    async with serving(upstream) as port:
        for _ in range(2):
            with pytest.raises(AnswerInvalidError, match=told) as caught:
                await got(client, call_of(port))
            assert "hello" not in str(caught.value)
    assert upstream.connections == 2


ENDED = {
    "before it": (b"", "closed before an answer came"),
    "in the status line": (b"HTTP/1.", "closed before an answer came"),
    "in the head": (b"HTTP/1.1 200 OK\r\nContent-Le", "closed before an answer came"),
    "behind the head": (head(b"Content-Length: 9"), "closed in the middle of the answer"),
    "in the body": (head(b"Content-Length: 9") + b"ok", "closed in the middle of the answer"),
    "in a chunk": (CHUNKED + b"9\r\nok", "closed in the middle of the answer"),
    "between chunks": (CHUNKED + b"2\r\nok\r\n", "closed in the middle of the answer"),
    "in the trailers": (CHUNKED + b"2\r\nok\r\n0\r\nA: b\r\n", "closed in the middle"),
    "behind an interim answer": (head(status=b"100 Continue"), "closed before an answer came"),
    "before the length in other words": (
        head(b"Content-Length  : 9") + b"ok",
        "closed in the middle of the answer",
    ),
}


@pytest.mark.parametrize(("answer", "told"), ENDED.values(), ids=ENDED)
async def test_an_answer_that_breaks_off_is_a_connection_that_failed(
    client: HttpClient, answer: bytes, told: str
):
    async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with serving(ends) as port:
        with pytest.raises(ConnectionFailedError, match=told):
            await got(client, call_of(port))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (OK + b"HTTP/1.1 20", 200),
        (head(status=b"101 Switching Protocols"), 101),
        (head(status=b"101 Switching Protocols") + b"x", 101),
    ],
    ids=["the begin of an answer", "another protocol", "what may be another protocol"],
)
async def test_a_connection_that_may_bear_something_else_is_used_no_more(
    answer: bytes, status: int
):
    # By aiohttp it would be: that counts whole answers, and protocols by their name.
    upstream = Scripted(answer)
    async with serving(upstream) as port, http_client("plain") as client:
        for _ in range(2):
            assert (await got(client, call_of(port))).status == status
    assert upstream.connections == 2


@pytest.mark.parametrize(
    "begin",
    [CHUNKED + b"2;", CHUNKED + b"2\r\nok\r\n0\r\nA: "],
    ids=["a chunk's extension", "a trailer"],
)
async def test_a_line_without_an_end_within_the_body_is_given_up(begin: bytes):
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(begin)
        while True:
            writer.write(b"y" * LIMIT)
            await writer.drain()

    # By aiohttp it would be read until the call's time is over.
    async with serving(endless) as port, http_client("plain") as client:
        with pytest.raises(AnswerInvalidError, match="longer than 65536 bytes"):
            await got(client, call_of(port))
