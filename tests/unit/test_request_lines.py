"""A body that is read line by line, however its parts come."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from asyncproxy.body_budget import BodyBudget
from asyncproxy.request_lines import Line, lines_of

MAX_BYTES = 8


async def read(parts: Sequence[bytes], *, is_broken: bool = False) -> list[Line]:
    """The lines of a body that comes in these parts; nothing is held when they are read."""
    left: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    left.append({"type": "http.disconnect" if is_broken else "http.request"})

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    budget = BodyBudget(1_000)
    found: list[Line] = []
    with budget.hold() as held:
        try:
            async for line in lines_of(
                Request({"type": "http"}, receive),  # type: ignore[arg-type]
                held,
                max_bytes=MAX_BYTES,
            ):
                longest_part = max(map(len, parts))
                assert budget.held <= MAX_BYTES + longest_part
                found.append(line)
        except ClientDisconnect:
            assert is_broken
        else:
            assert budget.held == 0
    return found


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"a", [(1, b"a")]),
        (b"a\nb\n", [(1, b"a"), (2, b"b")]),
        (b"a\r\n\n \nb", [(1, b"a\r"), (4, b"b")]),
        (b"12345678\n", [(1, b"12345678")]),
        (b"123456789\nb\n", [(1, None), (2, b"b")]),
        (b"a\n" + b"9" * 100, [(1, b"a"), (2, None)]),
    ],
)
async def test_lines_are_numbered_and_those_that_are_too_long_are_told(
    body: bytes, lines: list[tuple[int, bytes | None]]
):
    assert await read([body]) == [Line(*line) for line in lines]
    assert await read([bytes([byte]) for byte in body] or [b""]) == [Line(*line) for line in lines]


@given(parts=st.lists(st.text("\n a", max_size=12).map(str.encode), min_size=1, max_size=6))
async def test_however_it_comes_it_is_the_same(parts: list[bytes]):
    assert await read(parts) == await read([b"".join(parts)])


async def test_a_line_that_breaks_off_is_none():
    assert await read([b"a\nb", b"c"], is_broken=True) == [Line(1, b"a")]
