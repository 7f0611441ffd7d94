"""A connection to RabbitMQ that is made anew, with all that hangs on it, whenever it ends.

We keep no state of a lost connection: each new one is set up from what we want now. (aio-pika's
robust objects restore what they have ever seen, dead reply queues included:
research/messaging.md §2.)
"""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiormq
import structlog
from aiormq.exceptions import AMQPError

from asynctasks.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from aiormq.abc import AbstractChannel, AbstractConnection

CONNECT_SECONDS = 10
HEARTBEAT_SECONDS = 10
"""A peer that went without a word is noticed after about three of these."""
LONGEST_BACKOFF_SECONDS = 5.0

BROKEN = (AMQPError, OSError, RuntimeError, asyncio.CancelledError)
"""What aiormq raises when a connection ends under a call: its futures may be cancelled with it."""

log = structlog.get_logger(__name__)


class Link:
    """One connection, kept up by `run`. `set_up` opens its channels and returns them.

    The end of any of those channels ends the connection: a channel that RabbitMQ closed (consumer
    timeout, failed precondition) is restored in the same way as a lost connection.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        set_up: Callable[[AbstractConnection], Awaitable[list[AbstractChannel]]],
    ) -> None:
        self._url = url
        self.name = name
        self._set_up = set_up
        self.is_up = False
        self.first_up = asyncio.Event()

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        failures = 0
        while True:
            try:
                ending = await self._hold()
                failures = 0
            except BROKEN as error:
                if _is_cancelled():
                    raise
                ending = error
            finally:
                self.is_up = False
            backoff = min(LONGEST_BACKOFF_SECONDS, 0.1 * 2**failures)
            failures += 1
            log.warning(
                "broker connection ended",
                link=self.name,
                reason=_describe(ending),
                failures=failures,
            )
            await asyncio.sleep(random.uniform(backoff / 2, backoff))  # noqa: S311 - spreads load

    async def _hold(self) -> BaseException | None:
        """Connect, set up, and return why it ended."""
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await aiormq.connect(self._url)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                channels = await self._set_up(connection)
            self.is_up = True
            self.first_up.set()
            log.info("broker connected", link=self.name)
            endings = [connection.closing, *(channel.closing for channel in channels)]
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
            first = next(ending for ending in endings if ending.done())
            return None if first.cancelled() else first.exception()
        finally:
            await connection.close(timeout=1)


@contextmanager
def translated() -> Generator[None]:
    """Turn whatever aiormq raises at a broken or silent connection into BrokerUnavailableError."""
    try:
        yield
    except BROKEN as error:
        if _is_cancelled():
            raise
        raise BrokerUnavailableError(f"RabbitMQ does not answer: {_describe(error)}") from error


def _is_cancelled() -> bool:
    """Whether the CancelledError is meant for us, not for a future of the lost connection."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _describe(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error else "closed"
