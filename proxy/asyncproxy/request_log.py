"""One line for each request, where that is asked for: nothing of it runs where it is not."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from asynctasks.logs import REQUESTS, LineRecord

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(REQUESTS)
_TASK_ID = b"task-id"


def with_request_log(app: ASGIApp, *, is_on: bool) -> ASGIApp:
    """The application, which tells of each answer; itself where nobody wants to know."""
    return RequestLog(app) if is_on else app


class RequestLog:
    """Tells of each answer: to what, how, how long it took, how much it was, and to whom.

    The query, the headers and the bodies stay out: they hold arguments.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer()

        async def observed(message: Message) -> None:
            answer.note(message)
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, observed)
        finally:
            _log.handle(LineRecord(REQUESTS, _line(scope, answer, time.perf_counter() - began)))


class _Answer:
    """What became of a request; no status where its caller has left before."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.bytes = 0
        self.task_id: str | None = None

    def note(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            found = [value for name, value in message["headers"] if name.lower() == _TASK_ID]
            self.task_id = found[0].decode("latin-1") if found else None
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))


def _line(scope: Scope, answer: _Answer, seconds: float) -> dict[str, Any]:
    address: tuple[str, int] | None = scope.get("client")
    told = {
        "event": "request",
        "method": scope["method"],
        "path": scope["path"],
        "status": answer.status,
        "seconds": round(seconds, 4),
        "bytes": answer.bytes,
        "address": address and address[0],
        "task_id": answer.task_id,
    }
    return {name: value for name, value in told.items() if value is not None}
