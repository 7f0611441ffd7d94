"""An upstream with a gate: it knows how many calls it has at once, and in which order they came."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from asynctestkit.inside import serving_app


@dataclass
class GatedUpstream:
    """Answers each call after so many seconds, and none while its gate is shut."""

    seconds: float = 0.0
    url: str = ""
    running: int = 0
    most: int = 0
    names: list[str] = field(default_factory=list[str])
    """The `name` in the body of each call."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = (await request.json()).get("name", "")
        self.names.append(name)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
            await asyncio.sleep(self.seconds)
            return web.json_response({"name": name}, status=201)
        finally:
            self.running -= 1


@asynccontextmanager
async def gated_upstream(
    *, seconds: float = 0.0, is_open: bool = True
) -> AsyncGenerator[GatedUpstream]:
    """One that takes calls as long as it is entered."""
    served = GatedUpstream(seconds)
    if is_open:
        served.gate.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    async with serving_app(app, handler_cancellation=True) as served.url:
        yield served
