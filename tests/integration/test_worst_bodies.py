"""No body within the limits keeps other callers waiting."""

import asyncio
import time
from typing import Any

import pytest

from asynctestkit.inside import ASYNC, inside, operation

SIZE = 1_000_000
LONGEST_SECONDS = 0.25
"""That the loop may stand still: five times what it may on a machine that does nothing else."""
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "numbers": {"type": "array", "items": {"type": "number", "minimum": 0}},
        "unique": {"type": "array", "uniqueItems": True},
        "words": {"type": "array", "items": {"type": "string", "pattern": "^(a+)+$"}},
        "text": {"type": "string", "pattern": "^(a|aa)+$"},
    },
}
BODIES = {
    "wrong items": b'{"numbers":[' + b",".join([b'""'] * (SIZE // 3)) + b"]}",
    "many small objects": b'{"other":[' + b",".join([b"{}"] * (SIZE // 3)) + b"]}",
    "unique items": b'{"unique":[' + b",".join(b"%d" % n for n in range(SIZE // 8)) + b"]}",
    "long text": b'{"text":"' + b"a" * SIZE + b'b"}',
    "words": b'{"words":[' + b",".join([b'"aaaab"'] * (SIZE // 8)) + b"]}",
    "deep": b'{"other":' + b"[" * 200 + b"1" + b"]" * 200 + b',"x":"' + b"x" * SIZE + b'"}',
}


async def longest_pause(stop: asyncio.Event) -> float:
    longest = 0.0
    while not stop.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before)
    return longest


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_the_worst_body_does_not_stop_the_loop(sqlite_url: str, body: bytes):
    headers = {**ASYNC, "Content-Type": "application/json", "Idempotency-Key": "a"}
    async with inside(
        operation(arguments=ARGUMENTS), database_url=sqlite_url, broker_url="memory://"
    ) as installation:
        client = await installation.client(await installation.proxy())
        pauses: list[float] = []
        for _ in range(3):  # the best of them: others use this machine, too
            stop = asyncio.Event()
            measuring = asyncio.ensure_future(longest_pause(stop))
            answer = await client.post("/create-client", content=body, headers=headers)
            assert answer.status_code in {202, 422}
            stop.set()
            pauses.append(await measuring)
        assert min(pauses) < LONGEST_SECONDS, pauses
