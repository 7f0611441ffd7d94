"""Waiting for the task database: an attempt's end is worth it, however long that is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import structlog

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PAUSE_SECONDS = 1.0
"""Between tries."""

ResultT = TypeVar("ResultT")

log = structlog.get_logger(__name__)
_waits = Seldom()


async def when_there(ask: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """What the database answers once it does."""
    while True:
        try:
            return await ask()
        except DatabaseUnavailableError as error:
            _waits.tell(log.warning, "waiting for the task database", reason=str(error))
            await asyncio.sleep(PAUSE_SECONDS)
