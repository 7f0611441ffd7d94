"""Both clients that an executor calls upstreams by, and calls of a server that a test scripts."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from yarl import URL

from asyncexecutor.http.aiohttp_client import AiohttpClient
from asyncexecutor.http.call import Call, HttpClient
from asyncexecutor.http.plain_client import PlainClient
from asynctestkit.eventually import PATIENCE_SECONDS

Kind = Literal["plain", "aiohttp"]
KINDS: tuple[Kind, ...] = ("plain", "aiohttp")


@asynccontextmanager
async def http_client(kind: Kind) -> AsyncGenerator[HttpClient]:
    if kind == "aiohttp":
        async with AiohttpClient.opened() as client:
            yield client
        return
    client = PlainClient(room=lambda: 100)
    try:
        yield client
    finally:
        client.close()


def call_of(
    url: str | int,
    method: str = "GET",
    body: bytes | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    proxy: URL | None = None,
    connect_seconds: float = 10.0,
) -> Call:
    """A call of a URL, or of a port of this machine."""
    return Call(
        method=method,
        url=URL(f"http://127.0.0.1:{url}/x" if isinstance(url, int) else url, encoded=True),
        headers=headers or {},
        body=body,
        body_bytes=len(body or b""),
        tls=tls,
        proxy=proxy,
        connect_seconds=connect_seconds,
    )


@dataclass(frozen=True)
class Got:
    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    body_bytes: int = 0


async def got(client: HttpClient, call: Call, *, afresh: bool = False) -> Got:
    """The whole answer to a call."""
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        await client.send(call, afresh=afresh) as answer,
    ):
        body = b""
        while more := await answer.more():
            body += more
        return Got(answer.status, body, [*answer.raw_headers], answer.body_bytes)
