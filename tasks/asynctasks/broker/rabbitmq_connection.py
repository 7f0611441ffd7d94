"""A connection to RabbitMQ that is made anew, with all that hangs on it, whenever it ends.

We keep no state of a lost connection: each new one is set up from what we want now. (aio-pika's
robust objects restore what they have ever seen, dead reply queues included: decision 3.)
"""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import aiormq
import structlog
from aiormq.exceptions import AMQPError, ChannelAccessRefused

from asynctasks.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from aiormq.abc import AbstractChannel, AbstractConnection

CONNECT_SECONDS = 10
CLOSE_SECONDS = 1
HEARTBEAT_SECONDS = 10
"""A peer that went without a word is noticed after about three of these."""
NOT_ALLOWED = "RabbitMQ does not allow its user what we need."
LONGEST_BACKOFF_SECONDS = 5.0

log = structlog.get_logger(__name__)


class ConnectionEndedError(AMQPError):
    """We ended the connection. Whoever waits for an answer on it is told so."""


class ReconnectingConnection:
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
        self._restart = asyncio.Event()
        self.is_up = False
        self.first_up = asyncio.Event()
        self.ending: str | None = None
        """Why it ended the last time."""

    def restart(self) -> None:
        """Set all up anew: something that `set_up` had declared is gone."""
        self._restart.set()

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        failures = 0
        while True:
            try:
                ending = await self._hold()
                failures = 0
            except BaseException as error:
                if not is_broken_connection(error):
                    raise
                ending = error
            finally:
                self.is_up = False
            self.ending = _describe(ending)
            pause = backoff_seconds(failures)
            failures += 1
            log.warning(
                "broker connection ended",
                connection=self.name,
                reason=self.ending,
                failures=failures,
            )
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - spreads load

    async def _hold(self) -> BaseException | None:
        """Connect, set up, and return why it ended."""
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await aiormq.connect(self._url)
        try:
            self._restart.clear()
            async with asyncio.timeout(CONNECT_SECONDS):
                channels = await self._set_up(connection)
            self.is_up = True
            self.first_up.set()
            log.info("broker connected", connection=self.name)
            return await self._end_of(connection, channels)
        finally:
            self.is_up = False
            # A broker that hangs must neither hold us up nor hide why we leave.
            with suppress(OSError, AMQPError):
                await connection.close(ConnectionEndedError("closed by us"), timeout=CLOSE_SECONDS)

    async def _end_of(
        self, connection: AbstractConnection, channels: list[AbstractChannel]
    ) -> BaseException | None:
        restart = asyncio.ensure_future(self._restart.wait())
        try:
            closings = [_closing(connection), *map(_closing, channels)]
            await asyncio.wait([restart, *closings], return_when=asyncio.FIRST_COMPLETED)
        finally:
            restart.cancel()
        ended = next((closing for closing in closings if closing.done()), None)
        if ended is None:
            return ConnectionEndedError("something we had declared is gone")
        return None if ended.cancelled() else ended.exception()


def backoff_seconds(failures: int) -> float:
    """How long to wait at most after so many failures in a row."""
    return min(LONGEST_BACKOFF_SECONDS, 0.1 * 2 ** min(failures, 10))


@contextmanager
def translated() -> Generator[None]:
    """Turn whatever aiormq raises at a broken or silent connection into BrokerUnavailableError."""
    try:
        yield
    except BaseException as error:
        if not is_broken_connection(error):
            raise
        public = NOT_ALLOWED if isinstance(error, ChannelAccessRefused) else None
        raise BrokerUnavailableError(public, reason=_describe(error)) from error


def is_broken_connection(error: BaseException) -> bool:
    """Whether aiormq raised it because a connection or channel ended under the call."""
    if isinstance(error, asyncio.CancelledError):
        # aiormq may cancel what waits on a connection that ends. Then nobody has cancelled us.
        task = asyncio.current_task()
        return task is None or task.cancelling() == 0
    # A connection that ended without a reason fails what waits on it with a bare Exception.
    return isinstance(error, AMQPError | OSError | RuntimeError) or type(error) is Exception


async def until_closed(channel: AbstractChannel, other: asyncio.Future[Any]) -> None:
    """Return when the channel has closed or the other future is done."""
    closing = _closing(channel)
    try:
        await asyncio.wait([closing, other], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not channel.is_closed:
            closing.cancel()  # else the channel would remember it


def _closing(end: AbstractConnection | AbstractChannel) -> asyncio.Future[Any]:
    return cast("asyncio.Future[Any]", end.closing)  # pyright: ignore[reportUnknownMemberType]


def is_blocked(connection: AbstractConnection) -> bool:
    """Whether RabbitMQ reads nothing from the connection: an alarm of memory or disk."""
    waiting = connection.ready()
    try:
        waiting.send(None)
    except StopIteration:
        return False
    waiting.close()
    return True


def _describe(error: BaseException | None) -> str:
    if isinstance(error, asyncio.CancelledError):
        # Thus aiormq ends a connection that it has heard nothing from for too long.
        return "silent for too long: no heartbeat came"
    return f"{type(error).__name__}: {error}" if error else "closed"
