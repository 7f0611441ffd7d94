"""Callers who come all at once, or while the proxy could not take them."""

import asyncio
import socket
from typing import Any

import uvloop

from asyncproxy.server import listen, serve
from asynctestkit.eventually import PATIENCE_SECONDS

CALLERS = 160


def test_many_new_callers_are_taken_in_a_few_rounds_of_the_loop():
    """Of itself uvloop takes one each round, whatever else the round has to do."""
    rounds = uvloop.run(_rounds())
    assert len(rounds) == CALLERS
    assert rounds[-1] - rounds[0] < CALLERS / 4


async def _rounds() -> list[int]:
    """The rounds of the loop in which the callers' requests came to the application."""
    loop = asyncio.get_running_loop()
    rounds: list[int] = []
    stop = asyncio.Event()
    now = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        rounds.append(now)
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
        if len(rounds) == CALLERS:
            stop.set()

    def count() -> None:
        nonlocal now
        now += 1
        if not stop.is_set():
            loop.call_soon(count)

    listener = listen("127.0.0.1", 0)
    callers = [socket.create_connection(listener.getsockname()) for _ in range(CALLERS)]
    for caller in callers:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: proxy\r\n\r\n")
    count()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await serve(app, listener=listener, stop=stop, shutdown_seconds=1)
    finally:
        for caller in callers:
            caller.close()
    return rounds
