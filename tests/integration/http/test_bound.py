"""How many connections all calls of an executor have, whichever client makes them."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from yarl import URL

from asyncexecutor import upstream_connections
from asyncexecutor.attempt_bodies import RequestBody
from asyncexecutor.upstream_connections import UpstreamConnections
from asyncexecutor.upstream_request import Request
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.scripted_upstream import OK, Scripted, head, request_on, serving


class Streamed(RequestBody):
    """A body that only aiohttp can send."""

    def __init__(self) -> None:
        super().__init__([])

    async def sent(self) -> tuple[int, AsyncGenerator[bytes]]:
        return 2, self.chunks()

    async def chunks(self) -> AsyncGenerator[bytes]:
        yield b"hi"


class Gated:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.open = 0
        self.gate = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while True:
                await request_on(reader)
                self.asked += 1
                await self.gate.wait()
                writer.write(OK)
                await writer.drain()
        finally:
            self.open -= 1


def request(port: int, body: bytes | RequestBody | None = b"hi") -> Request:
    return Request(URL(f"http://127.0.0.1:{port}/x"), {}, body)


async def called(connections: UpstreamConnections, given: Request) -> int:
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        connections.send("POST", given, tls=None) as answer,
    ):
        while await answer.more():
            pass
        return answer.status


async def test_both_clients_share_one_limit():
    upstream = Gated()
    async with (
        serving(upstream) as port,
        UpstreamConnections(limit=2, environment={}) as connections,
        asyncio.TaskGroup() as tasks,
    ):
        given = [request(port), request(port, Streamed()), request(port), request(port, Streamed())]
        calls = [tasks.create_task(called(connections, each)) for each in given]
        await eventually(lambda: _equals(upstream.asked, 2))
        await asyncio.sleep(0.1)
        assert upstream.asked == 2
        upstream.gate.set()
        assert [await call for call in calls] == [200] * 4


async def test_who_gives_up_waiting_or_fails_leaves_its_place_to_others():
    upstream = Gated()
    async with (
        serving(upstream) as port,
        serving(Scripted(b"")) as closing,
        UpstreamConnections(limit=1, environment={}) as connections,
    ):
        first = asyncio.create_task(called(connections, request(port)))
        await eventually(lambda: _equals(upstream.asked, 1))
        waiting = asyncio.create_task(called(connections, request(port)))
        await asyncio.sleep(0.05)
        waiting.cancel()
        first.cancel()
        await asyncio.gather(first, waiting, return_exceptions=True)
        for body in (b"hi", Streamed()):
            with pytest.raises(Exception, match="closed before"):
                await called(connections, request(closing, body))
        upstream.gate.set()
        assert await called(connections, request(port)) == 200


async def test_idle_connections_make_room_for_others():
    upstreams = [Gated() for _ in range(3)]
    for upstream in upstreams:
        upstream.gate.set()
    async with (
        serving(upstreams[0]) as first,
        serving(upstreams[1]) as second,
        serving(upstreams[2]) as third,
        UpstreamConnections(limit=2, environment={}) as connections,
    ):
        for port in (first, second, third):
            assert await called(connections, request(port)) == 200
        await eventually(lambda: _equals([each.open for each in upstreams], [0, 1, 1]))
        assert await called(connections, request(first, Streamed())) == 200
        await eventually(lambda: _equals([each.open for each in upstreams], [1, 0, 1]))


@pytest.mark.parametrize("body", [b"hi", Streamed()], ids=["plain", "aiohttp"])
async def test_a_call_that_met_a_closed_connection_is_made_once_more(body: bytes | RequestBody):
    upstream = Scripted(OK, b"", OK)
    async with (
        serving(upstream) as port,
        UpstreamConnections(limit=1, environment={}) as connections,
    ):
        for _ in range(2):
            assert await called(connections, request(port, body)) == 200
    assert (len(upstream.requests), upstream.connections) == (3, 2)


@pytest.mark.parametrize("body", [b"hi", Streamed()], ids=["plain", "aiohttp"])
async def test_one_that_has_waited_for_its_answer_is_not(
    body: bytes | RequestBody, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upstream_connections, "RACE_SECONDS", 0.0)
    upstream = Scripted(OK, b"", OK)
    async with (
        serving(upstream) as port,
        UpstreamConnections(limit=1, environment={}) as connections,
    ):
        assert await called(connections, request(port, body)) == 200
        with pytest.raises(Exception, match="closed before an answer came"):
            await called(connections, request(port, body))
    assert len(upstream.requests) == 2


async def test_a_large_answer_left_unread_frees_its_place():
    upstream = Scripted(head(b"Content-Length: 10000000") + b"y" * 10_000_000)
    async with (
        serving(upstream) as port,
        UpstreamConnections(limit=1, environment={}) as connections,
    ):
        for _ in range(3):
            async with (
                asyncio.timeout(PATIENCE_SECONDS),
                connections.send("POST", request(port), tls=None) as answer,
            ):
                assert answer.body_bytes == 10_000_000
    assert upstream.connections == 3


def _equals(found: object, expected: object) -> None:
    assert found == expected
