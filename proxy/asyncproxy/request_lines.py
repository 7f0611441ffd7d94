"""Reads a body line by line, and holds no more of it than one line may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

    from asyncproxy.body_budget import HeldBody


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a body that has something in it."""

    number: int
    """From 1; lines with nothing in them are counted, too."""
    text: bytes | None
    """None where it is longer than a line may be."""


async def lines_of(request: Request, held: HeldBody, *, max_bytes: int) -> AsyncGenerator[Line]:
    """The lines as they come, of which only what has not been given yet is `held`.

    Raises OverloadedError, ClientDisconnect where it breaks off.
    """
    number, is_long, began = 1, False, bytearray()
    async for chunk in request.stream():
        held.add(len(chunk))
        *ended, last = chunk.split(b"\n")
        for part in ended:
            began += part
            is_long |= len(began) > max_bytes
            text = bytes(began)
            began.clear()
            held.let_go(len(text) + 1)
            if is_long or text.strip():
                yield Line(number, None if is_long else text)
            number, is_long = number + 1, False
        began += last
        if is_long or len(began) > max_bytes:
            is_long = True
            held.let_go(len(began))
            began.clear()
    held.let_go(len(began))
    if is_long or began.strip():
        yield Line(number, None if is_long else bytes(began))
