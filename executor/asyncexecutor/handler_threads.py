"""Threads for handlers that are plain functions: as many as there can be attempts at a time.

Python cannot end a thread. A function that outlives its attempt keeps its thread until it returns,
is counted and logged meanwhile, and holds up no process that has drained.
"""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

import structlog

from asyncexecutor.metrics import ABANDONED_HANDLERS

if TYPE_CHECKING:
    from collections.abc import Callable

Result = tuple[Any, BaseException | None]

log = structlog.get_logger(__name__)


class HandlerThreads:
    """A pool whose threads do not keep the process from ending, unlike the standard library's."""

    def __init__(self, size: int) -> None:
        self._free = asyncio.Semaphore(size)
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in range(self._threads):
            self._calls.put(None)

    @property
    def busy(self) -> int:
        """Threads that run a function now, whether anyone still waits for it or not."""
        return self._busy

    async def run(self, function: Callable[[], Any], *, operation: str) -> Any:
        """What the function returns or raises; waits for a thread that is free."""
        await self._free.acquire()
        outcome: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        outcome.add_done_callback(self._returned)
        self._busy += 1
        if self._busy > self._threads:
            self._threads += 1
            Thread(target=_work, args=(self._calls,), name="handler", daemon=True).start()
        run = partial(contextvars.copy_context().run, function)
        self._calls.put(partial(_call, run, outcome))
        try:
            value, error = await asyncio.shield(outcome)
        except asyncio.CancelledError:
            _abandon(outcome, operation)
            raise
        if error is not None:
            raise error
        return value

    def _returned(self, _: object) -> None:
        self._busy -= 1
        self._free.release()


def _work(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (call := calls.get()) is not None:
        call()


def _call(function: Callable[[], Any], outcome: asyncio.Future[Result]) -> None:
    result: Result
    try:
        result = (function(), None)
    except BaseException as error:  # noqa: BLE001 - SystemExit too must not end the thread
        result = (None, error)
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        outcome.get_loop().call_soon_threadsafe(outcome.set_result, result)


def _abandon(outcome: asyncio.Future[Result], operation: str) -> None:
    if outcome.done():
        return
    log.warning("handler goes on though its attempt has ended", operation=operation)
    ABANDONED_HANDLERS.inc()

    def returned(_: object) -> None:
        ABANDONED_HANDLERS.dec()
        log.info("abandoned handler has returned", operation=operation)

    outcome.add_done_callback(returned)
