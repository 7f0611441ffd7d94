"""A call of an upstream over a real connection: what comes back of what is answered."""

import asyncio

import pytest

from asyncexecutor.failures import (
    ResponseTooLargeError,
    UpstreamResponseUnreadableError,
    UpstreamUnreachableError,
)
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.scripted_upstream import OK, SECRET, Scripted, calling, head, request_on, serving


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (head(b"X: " + b"y" * 70_000), "a line of its head is longer than 65536 bytes"),
        (head(*[b"X-%d: 1" % number for number in range(600)]), "it has more than 512 headers"),
        (head(b"Content-Length: 2", b"Content-Length: 2") + b"ok", "Duplicate Content-Length"),
        (head(b"Content-Length: -1"), "Invalid character in Content-Length"),
        (head(b"Content-Length: 2", status=b"204 No Content") + b"ok", "goes on after its end"),
        (head(b"Transfer-Encoding: chunked") + b"zz\r\nok", "Invalid character in chunk size"),
        (head(b"X: a\x00b", b"Content-Length: 0"), "a header has characters that none may have"),
        (b"HTTP/2 200\r\n\r\n", "does not begin with a status line"),
        (head(b"Content-Length: 0", status=b"999 What"), "999"),
        (head(b"Content-Length: 0", status=b"600 What"), "600"),
        (head(b"Upgrade: x", b"Connection: upgrade", status=b"101 Switching"), "101"),
    ],
)
async def test_an_answer_that_cannot_be_read_says_why_and_is_not_asked_for_again(
    answer: bytes, told: str
):
    upstream = Scripted(answer)
    async with serving(upstream) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        with pytest.raises(UpstreamResponseUnreadableError) as caught:
            await call()
    assert told in str(caught.value)
    assert not caught.value.is_retryable
    assert SECRET not in str(caught.value)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        head(b"Content-Length: 9") + b"ok",
        head(b"Transfer-Encoding: chunked") + b"9\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_an_answer_that_breaks_off_is_a_lost_connection_and_worth_another_attempt(
    answer: bytes,
):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(answer)
        await writer.drain()

    async with serving(serve) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        with pytest.raises(UpstreamUnreachableError) as caught:
            await call()
    assert caught.value.is_retryable


async def test_large_heads_are_read():
    many = [b"X-%d: %s" % (number, b"y" * 100) for number in range(400)]
    answer = head(b"X: " + b"y" * 60_000, *many, b"Content-Length: 2") + b"ok"
    async with (
        serving(Scripted(answer)) as port,
        calling(f"http://127.0.0.1:{port}/x") as call,
    ):
        assert (await call()).response.body == b"ok"


async def test_an_operations_own_limit_of_bytes_comes_before_the_executors():
    body = b"y" * 150_000
    answer = head(b"Content-Length: %d" % len(body)) + body
    async with serving(Scripted(answer)) as port:
        url = f"http://127.0.0.1:{port}/x"
        async with calling(url) as call:
            with pytest.raises(ResponseTooLargeError) as caught:
                await call()
            assert not caught.value.is_retryable
        async with calling(url, maxResponseBytes=150_000) as call:
            assert (await call()).response.body == body
        async with calling(url, maxResponseBytes=149_999) as call:
            with pytest.raises(ResponseTooLargeError):
                await call()


async def test_a_length_that_is_too_large_ends_the_call_before_the_body_comes():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(head(b"Content-Length: 100001"))
        await reader.read()  # until it has hung up

    async with serving(serve) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        with pytest.raises(ResponseTooLargeError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await call()


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_kept_connection_that_is_closed_at_the_moment_of_reuse_costs_no_attempt(
    method: str,
):
    upstream = Scripted(OK, b"", OK)
    async with (
        serving(upstream) as port,
        calling(f"http://127.0.0.1:{port}/x", method=method) as call,
    ):
        assert (await call()).response.status == 200
        assert (await call()).response.status == 200
    assert upstream.connections == 2
    keys = [asked.lower().partition(b"idempotency-key: ")[2][:36] for asked in upstream.requests]
    assert keys[0] != keys[1] == keys[2]


async def test_it_is_sent_again_once_and_no_more():
    upstream = Scripted(OK, b"", b"", OK)
    async with serving(upstream) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        await call()
        with pytest.raises(UpstreamUnreachableError):
            await call()
    assert len(upstream.requests) == 3


async def test_a_new_connection_that_is_closed_fails_the_attempt():
    upstream = Scripted(b"", OK)
    async with serving(upstream) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        with pytest.raises(UpstreamUnreachableError):
            await call()
    assert len(upstream.requests) == 1


async def test_a_kept_connection_that_is_closed_after_a_while_fails_the_attempt(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("asyncexecutor.upstream_connections.RACE_SECONDS", 0.0)
    upstream = Scripted(OK, b"", OK)
    async with serving(upstream) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        await call()
        with pytest.raises(UpstreamUnreachableError):
            await call()
