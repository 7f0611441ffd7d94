"""50 MB in both directions, several at a time, by real processes: equal bytes, little memory."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from asynctestkit.calls import caller
from asynctestkit.peak_memory import PeakMemory
from asynctestkit.processes import Installation, Keep, start_all

MB = 1_000_000
SIZE = 50 * MB
AT_A_TIME = 4
MOST_BYTES = 100 * MB
OPERATIONS = """
operations:
  scan:
    route: POST /scans
    queue: clients
    waitSeconds: 120
    body: {contentTypes: [application/pdf], maxBytes: 60000000}
    arguments: {type: object}
    upstream: {url: "{CUSTOMER_API_URL}/scans", timeoutSeconds: 120, maxResponseBytes: 60000000}
    retry: {maxAttempts: 1}
"""
BLOCK = bytes(range(256)) * 256


async def pdf() -> AsyncGenerator[bytes]:
    """Bytes that are nowhere held as a whole."""
    left = SIZE
    while left > 0:
        yield BLOCK[:left]
        left -= len(BLOCK)


async def digest(parts: AsyncGenerator[bytes]) -> tuple[int, str]:
    size, found = 0, hashlib.sha256()
    async for part in parts:
        size += len(part)
        found.update(part)
    return size, found.hexdigest()


async def scan(request: web.Request) -> web.StreamResponse:
    """Reads all, and answers as much again, with what it got in its headers."""
    size, sha256 = await digest(request.content.iter_any())  # pyright: ignore[reportArgumentType] - an async iterator
    headers = {"Content-Length": str(SIZE), "ETag": f'"{size}-{sha256}"'}
    answer = web.StreamResponse(headers=headers)
    answer.content_type = "application/pdf"
    await answer.prepare(request)
    async for part in pdf():
        await answer.write(part)
    return answer


@asynccontextmanager
async def upstream(url: str) -> AsyncGenerator[None]:
    app = web.Application(client_max_size=2 * SIZE)
    app.router.add_post("/scans", scan)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", int(url.rpartition(":")[2])).start()
        yield
    finally:
        await runner.cleanup()


@pytest.mark.timeout(400)
async def test_many_megabytes_both_ways_take_little_memory(
    install: Callable[..., Installation], keep: Keep
):
    installation = install()
    (installation.folder / "operations.yaml").write_text(OPERATIONS)
    proxy, executor = installation.proxy(), installation.executor()
    start_all(keep, proxy, executor)
    expected = await digest(pdf())
    async with upstream(installation.demo_url), caller(proxy.url) as client:
        client.timeout = 300
        await there_and_back(client, expected)
        with PeakMemory(proxy.pid) as of_proxy, PeakMemory(executor.pid) as of_executor:
            tasks = await asyncio.gather(
                *(there_and_back(client, expected) for _ in range(AT_A_TIME))
            )
            for task in tasks:
                async with client.stream("GET", f"/tasks/{task}/response") as again:
                    assert await digest(again.aiter_raw()) == expected  # pyright: ignore[reportArgumentType] - likewise
    assert of_proxy.over_idle < MOST_BYTES
    assert of_executor.over_idle < MOST_BYTES
    assert proxy.faults == executor.faults == []


async def there_and_back(client: httpx.AsyncClient, expected: tuple[int, str]) -> str:
    headers = {"Content-Type": "application/pdf"}
    async with client.stream("POST", "/scans", content=pdf(), headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["etag"] == '"{}-{}"'.format(*expected)
        assert await digest(answer.aiter_raw()) == expected  # pyright: ignore[reportArgumentType] - likewise
        return answer.headers["task-id"]
