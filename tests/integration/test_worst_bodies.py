"""No body within the limits keeps other callers waiting."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest

from asynctasks.json_values import MAX_LONG_NUMBERS
from asynctasks.operations.arguments import MAX_MULTIPLES
from asynctestkit.inside import ASYNC, inside, operation

SIZE = 1_000_000
VALUES = 19_990
"""Those that a body may have, less those that are around them."""
LONGEST_SECONDS = 0.1
"""Of CPU between two turns of the loop: twice what is meant, and whatever else the machine does."""
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "numbers": {"type": "array", "items": {"type": "number", "minimum": 0}},
        "unique": {"type": "array", "uniqueItems": True},
        "words": {"type": "array", "items": {"type": "string", "pattern": "^(a+)+$"}},
        "text": {"type": "string", "pattern": "^(a|aa)+$"},
    },
}
MULTIPLES: dict[str, Any] = {
    "type": "object",
    "properties": {"numbers": {"type": "array", "items": {"type": "number", "multipleOf": 0.01}}},
}


def numbers(texts: Iterable[bytes]) -> bytes:
    return b'{"numbers":[' + b",".join(texts) + b"]}"


BODIES = {
    "wrong items": numbers([b'""'] * VALUES),
    "wrong items, too many": numbers([b'""'] * (SIZE // 3)),
    "small objects": b'{"other":[' + b",".join([b"{}"] * VALUES) + b"]}",
    "small objects, too many": b'{"other":[' + b",".join([b"{}"] * (SIZE // 3)) + b"]}",
    "unique items": b'{"unique":['
    + b",".join(b'{"a":%d.10}' % n for n in range(VALUES // 2))
    + b"]}",
    "large powers": numbers([b"1.5e300"] * VALUES),
    "amounts": numbers([b"1.10"] * VALUES),
    "powers": numbers([b"1e3"] * VALUES),
    "long numbers": numbers(b"0.%017d1" % n for n in range(MAX_LONG_NUMBERS)),
    "long integers": numbers(b"1%025d.00" % n for n in range(MAX_LONG_NUMBERS)),
    "too many long numbers": numbers([b"0.10000000000000001"] * VALUES),
    "amounts, too many": numbers([b"1.10"] * (SIZE // 5)),
    "long text": b'{"text":"' + b"a" * SIZE + b'b"}',
    "words": b'{"words":[' + b",".join([b'"aaaaaaaaaaaaaab"'] * VALUES) + b"]}",
    "deep": b'{"other":' + b"[" * 200 + b"1" + b"]" * 200 + b',"x":"' + b"x" * SIZE + b'"}',
    "not large": numbers([b'""'] * 250),
    "just not in a thread": numbers([b"1e3"] * 4_000),
}
OF_MULTIPLES = {
    "too many multiples": numbers([b"0"] * VALUES),
    "multiples": numbers([b"12345.67"] * MAX_MULTIPLES),
    "multiples of many digits": numbers([b"9007199254740991"] * MAX_MULTIPLES),
    "long multiples": numbers(b"1%025d.00" % n for n in range(MAX_MULTIPLES // 2)),
    "too many large multiples": numbers([b"1.5e300"] * VALUES),
    "large multiples": numbers([b"1.5e300"] * (MAX_MULTIPLES // 16)),
}
CASES = [
    pytest.param(schema, body, id=name)
    for schema, bodies in ((ARGUMENTS, BODIES), (MULTIPLES, OF_MULTIPLES))
    for name, body in bodies.items()
]


async def longest_pause(stop: asyncio.Event) -> float:
    longest = 0.0
    while not stop.is_set():
        before = time.process_time()
        await asyncio.sleep(0.001)
        longest = max(longest, time.process_time() - before)
    return longest


@pytest.mark.parametrize(("arguments", "body"), CASES)
async def test_the_worst_body_does_not_stop_the_loop(
    sqlite_url: str, arguments: dict[str, Any], body: bytes
):
    headers = {**ASYNC, "Content-Type": "application/json", "Idempotency-Key": "a"}
    async with inside(
        operation(arguments=arguments), database_url=sqlite_url, broker_url="memory://"
    ) as installation:
        client = await installation.client(await installation.proxy())
        pauses: list[float] = []
        # Again, since a busy system may let the loop wait though it could run.
        while len(pauses) < 3 and min(pauses, default=1) > LONGEST_SECONDS:
            stop = asyncio.Event()
            measuring = asyncio.ensure_future(longest_pause(stop))
            answer = await client.post("/create-client", content=body, headers=headers)
            assert answer.status_code in {202, 413, 422}
            stop.set()
            pauses.append(await measuring)
        assert min(pauses) < LONGEST_SECONDS, pauses
