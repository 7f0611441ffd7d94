"""How much memory one request, one page or one attack can take, and whether it is given back."""

import asyncio
import json
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from asynctestkit.calls import JSON, caller
from asynctestkit.eventually import eventually
from asynctestkit.peak_memory import PeakMemory, rss
from asynctestkit.processes import Installation, Keep, Service

MIB = 1 << 20
MOST_BYTES = 64 * MIB
GROWTH = 1.2
OPERATIONS = """
operations:
  anything:
    route: POST /anything
    waitSeconds: 0
    arguments: {type: object}
    upstream: {url: "{CUSTOMER_API_URL}/clients"}
"""
MEBIBYTE_BODIES = {
    "text": json.dumps({"a": "x" * (MIB - 10)}),
    "many small objects": '{"a": [' + ",".join(['{"b": 1}'] * 90_000) + "]}",
    "many keys": json.dumps({f"key{number}": number for number in range(55_000)}),
    "numbers": '{"a": [' + ",".join(["1"] * 500_000) + "]}",
    "decimals": '{"a": [' + ",".join(["1.10"] * 200_000) + "]}",
    "nested": '{"a": ' + "[" * 200 + "1" + "]" * 200 + "}",
}


@pytest.fixture
def proxy(install: Callable[..., Installation], keep: Keep) -> Service:
    """One without executors, so that all that is sent stays queued."""
    installation = install(body_seconds=2)
    (installation.folder / "operations.yaml").write_text(OPERATIONS)
    return keep(installation.proxy()).start()


@pytest.mark.parametrize("kind", MEBIBYTE_BODIES)
async def test_one_request_takes_no_more_than_it_may(proxy: Service, kind: str):
    async with caller(proxy.url) as client:
        await client.post("/anything", json={})
        with PeakMemory(proxy.pid) as peak:
            answer = await client.post("/anything", content=MEBIBYTE_BODIES[kind], headers=JSON)
            assert answer.status_code in {202, 413}, answer.text

    assert peak.over_idle < MOST_BYTES


@pytest.mark.parametrize("kind", ["text", "many small objects"])
async def test_one_page_takes_no_more_than_it_may(proxy: Service, kind: str):
    async with caller(proxy.url) as client:
        for _ in range(40):
            answer = await client.post("/anything", content=MEBIBYTE_BODIES[kind], headers=JSON)
            assert answer.status_code in {202, 413}, answer.text
        await client.get("/tasks")
        with PeakMemory(proxy.pid) as peak:
            page = await client.get("/tasks?page_size=1000&view=full")
            assert page.status_code == 200

    assert peak.over_idle < MOST_BYTES


async def test_half_sent_bodies_are_ended_and_their_memory_is_given_back(proxy: Service):
    async with caller(proxy.url) as client:
        await client.post("/anything", json={})
        with PeakMemory(proxy.pid) as peak:
            answers = await asyncio.gather(*(_half_sent(proxy.url) for _ in range(400)))
        assert {answer[:12] for answer in answers} <= {b"HTTP/1.1 408", b"HTTP/1.1 503", b""}
        assert peak.over_idle < 3 * MOST_BYTES
        await client.post("/anything", json={})

    def given_back() -> None:
        assert rss(proxy.pid) < peak.idle * GROWTH

    await eventually(given_back)


async def _half_sent(url: str) -> bytes:
    """What is answered to a body of which the last part does not come."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = b"POST /anything HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    try:
        writer.write(head + b"Content-Length: 1000000\r\n\r\n" + b" " * 900_000)
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
