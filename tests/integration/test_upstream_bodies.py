"""How a large body reaches upstreams that answer early, lead elsewhere, or close connections."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from asynctestkit.inside import Inside, inside, one_of_each, operation
from asynctestkit.scripted_upstream import serving

LARGE = 3_000_001
PDF = {"Content-Type": "application/pdf"}
TAKING = {"contentTypes": ["application/pdf"]}


def scan(**upstream: Any) -> Any:
    return operation(
        "scan",
        arguments={"type": "object"},
        body=TAKING,
        upstream={"url": "{UPSTREAM}/clients", **upstream},
    )


@pytest.fixture
async def installed(sqlite_url: str) -> AsyncIterator[Inside]:
    async with inside(
        scan(redirects="follow"), database_url=sqlite_url, broker_url="memory://"
    ) as installation:
        yield installation


async def test_where_a_redirect_is_followed_the_body_is_sent_again(installed: Inside):
    client = await one_of_each(installed)
    received: list[bytes] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        received.append(await request.content.read())
        return web.Response(status=307, headers={"Location": "/clients?again=1"})

    async def there(request: web.Request) -> web.StreamResponse:
        received.append(await request.content.read())
        return web.Response(status=201)

    installed.upstream.will(elsewhere, there)
    body = os.urandom(LARGE)
    answer = await client.post("/scan", content=body, headers=PDF)
    assert answer.status_code == 201
    assert received == [body, body]


async def test_an_upstream_that_refuses_a_body_before_its_end_is_heard(sqlite_url: str):
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch"
        )
        await writer.drain()
        writer.write_eof()
        while await reader.read(65_536):
            pass

    async with (
        serving(refuses) as port,
        inside(scan(), database_url=sqlite_url, broker_url="memory://") as installation,
    ):
        installation.upstream.url = f"http://127.0.0.1:{port}"
        client = await one_of_each(installation)
        answer = await client.post("/scan", content=os.urandom(LARGE), headers=PDF)
        assert (answer.status_code, answer.content) == (413, b"much")


async def test_a_kept_connection_that_closes_costs_no_attempt(sqlite_url: str):
    bodies: list[int] = []

    async def once_a_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        bodies.append(length)
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.readexactly(1)  # the next call: it has set out, and finds nobody

    async with (
        serving(once_a_connection) as port,
        inside(scan(), database_url=sqlite_url, broker_url="memory://") as installation,
    ):
        installation.upstream.url = f"http://127.0.0.1:{port}"
        client = await one_of_each(installation)
        for _ in range(2):
            answer = await client.post("/scan", content=b"x" * 100_000, headers=PDF)
            assert answer.status_code == 201
            task = (await client.get(f"/tasks/{answer.headers['task-id']}")).json()
            assert task["attempt"] == 1
    assert bodies == [100_000, 100_000]
