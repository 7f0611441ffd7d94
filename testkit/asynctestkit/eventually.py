"""Waiting for a fact, in place of sleeping and hoping."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

Value = TypeVar("Value")

PATIENCE_SECONDS = 60
"""How long a test waits for what has to come: what comes sooner costs nothing.

Only a test whose fact is the time itself waits for less.
"""
POLL_SECONDS = 0.02


async def eventually(
    assertion: Callable[[], Value | Awaitable[Value]], *, timeout_seconds: float = PATIENCE_SECONDS
) -> Value:
    """What the assertion (a function or a coroutine function) returns once it holds.

    Raises its last AssertionError when the time is over, and any other error at once.
    """
    last: AssertionError | None = None
    limit = asyncio.timeout(timeout_seconds)
    try:
        async with limit:
            while True:
                try:
                    return await _call(assertion)
                except AssertionError as error:
                    last = error
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        if last is None or not limit.expired():
            raise
        raise last from None


async def _call(assertion: Callable[[], Value | Awaitable[Value]]) -> Value:
    value = assertion()
    return cast("Value", await value if inspect.isawaitable(value) else value)
