"""An upstream that notes when it was called for what, and is down as long as a test says so."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from asynctestkit.inside import serving_app


@dataclass
class Span:
    """From when to when something went on, by this machine's clock."""

    key: str
    began: float
    ended: float = float("inf")


@dataclass
class RecordingUpstream:
    """Answers each call after a while: 201, or 503 while it is down."""

    seconds: float
    spread_seconds: float = 0.0
    """Up to so much longer, by chance."""
    is_down: bool = False
    calls: list[Span] = field(default_factory=list[Span])
    refused: int = 0
    """How many calls were answered 503."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        call = Span(request.headers["Idempotency-Key"], time.time())
        self.calls.append(call)
        try:
            await asyncio.sleep(self.seconds + random.uniform(0, self.spread_seconds))
        finally:
            call.ended = time.time()
        self.refused += self.is_down
        return web.json_response({}, status=503 if self.is_down else 201)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncGenerator[str]:
        """Where it answers, for as long as it is entered; a caller who has gone is noticed."""
        app = web.Application()
        app.router.add_post("/", self.answer)
        async with serving_app(app, handler_cancellation=True, port=port) as url:
            yield f"{url}/"


def most_at_once(spans: Iterable[Span]) -> int:
    """How many of them went on at one moment at most."""
    changes = [change for span in spans for change in ((span.began, 1), (span.ended, -1))]
    most = now = 0
    # What ends as another begins has ended before.
    for _, step in sorted(changes):
        now += step
        most = max(most, now)
    return most


def most_begun_within(spans: Iterable[Span], seconds: float) -> int:
    """How many of them began within any so many seconds at most."""
    began: Sequence[float] = sorted(span.began for span in spans)
    most = first = 0
    for last, at in enumerate(began):
        while began[first] < at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
