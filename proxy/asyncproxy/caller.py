"""Whether the caller of a request is still there: what is held for one that has left ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Awaitable, MutableMapping

ResultT = TypeVar("ResultT")

_KEY = "asyncproxy.caller"


class Caller:
    """The caller of one request. Our server says when it has left; another server never does."""

    __slots__ = ("_waiting", "filler", "has_left")

    def __init__(self) -> None:
        self.has_left = False
        """Before the request was answered, so that nobody will read the answer."""
        self.filler: bytes | None = None
        """What means nothing between two parts of a streamed answer, for finding out by sending it
        whether a caller that has closed its own side still listens."""
        self._waiting: asyncio.Timeout | None = None

    def leave(self) -> None:
        """Note that it has left, and end what is awaited for it."""
        self.has_left = True
        if self._waiting is not None:
            self._waiting.reschedule(0)

    async def unless_gone(self, awaited: Awaitable[ResultT]) -> ResultT:
        """What is awaited; raises ClientDisconnect as soon as the caller has left."""
        waiting = asyncio.timeout(None)
        try:
            async with waiting:
                self._waiting = waiting
                if self.has_left:
                    self.leave()
                return await awaited
        except TimeoutError:
            if waiting.expired():
                raise ClientDisconnect from None
            raise
        finally:
            self._waiting = None


def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """The caller of the request."""
    caller: Caller | None = scope.get(_KEY)
    return Caller() if caller is None else caller


def set_caller(scope: MutableMapping[str, Any]) -> None:
    """Give a request its caller, by whom the server later says that it has left."""
    scope[_KEY] = Caller()
