"""An upstream that resets, trickles, never ends or answers with what is no HTTP."""

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asynctestkit.calls import PROBLEMS, get_task
from asynctestkit.inside import (
    inside,
    one_of_each,
    operation,
)
from asynctestkit.scripted_upstream import serving

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def talking(talk: Talk) -> AsyncGenerator[str]:
    """An upstream that does as it likes with a connection once it has been asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await talk(reader, writer)

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}"


async def _silence(*_: Any) -> None:
    await asyncio.Event().wait()


async def _reset(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _garbage(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 I am no HTTP \xff\xfe\r\n\r\n")
    await writer.drain()


async def _half(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()


async def _endless_body(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def _endless_headers(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while True:
        number += 1
        writer.write(b"X-%d: %s\r\n" % (number, b"y" * 4_000))
        await writer.drain()


async def _trickle(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("talk", "code", "problem", "attempts"),
    [
        (_silence, 504, "upstream-timeout", 2),
        (_trickle, 504, "upstream-timeout", 2),
        (_reset, 502, "upstream-unreachable", 2),
        (_garbage, 502, "upstream-response-unreadable", 1),
        (_half, 502, "upstream-unreachable", 2),
        (_endless_body, 502, "upstream-response-too-large", 1),
        (_endless_headers, 502, "upstream-response-unreadable", 1),
    ],
)
async def test_an_upstream_that_misbehaves_is_a_problem_and_the_executor_goes_on(
    sqlite_url: str, talk: Talk, code: int, problem: str, attempts: int
):
    async with talking(talk) as url:
        bad = operation(
            "bad",
            upstream={"url": f"{url}/clients", "timeoutSeconds": 0.6},
            retry={"maxAttempts": 2, "backoffSeconds": [0.01, 0.01]},
        )
        async with inside(
            operation(),
            bad,
            database_url=sqlite_url,
            broker_url="memory://",
            # An endless body comes so far within the timeout on a busy machine, too.
            max_response_bytes=1_000_000,
            relay_interval_seconds=0.05,
        ) as installation:
            client = await one_of_each(installation)
            answer = await client.post("/bad", json={})
            assert (answer.status_code, answer.json()["type"]) == (code, f"{PROBLEMS}{problem}")
            task = await get_task(client, answer.headers["task-id"])
            assert (task["status"], task["attempt"]) == ("failed", attempts)
            assert (await client.post("/create-client", json={})).status_code == 201


async def test_an_endless_body_takes_no_more_memory_than_a_body_may(sqlite_url: str):
    async with talking(_endless_body) as url:
        endless = operation("endless", upstream={"url": f"{url}/clients", "timeoutSeconds": 30})
        async with inside(
            operation(),
            endless,
            database_url=sqlite_url,
            broker_url="memory://",
            max_response_bytes=4_000_000,
        ) as installation:
            client = await one_of_each(installation)
            assert (await client.post("/create-client", json={})).status_code == 201
            tracemalloc.start()
            try:
                answer = await client.post("/endless", json={})
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert answer.json()["type"] == f"{PROBLEMS}upstream-response-too-large"
    # What is put away at a time, and what aiohttp reads ahead: less than the body may be.
    assert 500_000 < peak < 4_000_000
