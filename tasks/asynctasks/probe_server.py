"""A small HTTP server for Kubernetes' probes and for Prometheus, on a port of its own.

Callers, where a service has any, do not reach it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from asynctasks.errors import SettingsError
from asynctasks.metrics import exposition

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

Check = Callable[[], str | None]
"""What is wrong at the moment; None where nothing is. It asks nobody, and never waits."""


@asynccontextmanager
async def serve_probes(port: int, *, healthy: Check, ready: Check) -> AsyncGenerator[None]:
    """Serve /healthz, /readyz and /metrics on all addresses while it is entered; 0 serves nothing.

    A check's answer is 200 "ok", or 503 and what is wrong. Raises SettingsError where the port
    cannot be had.
    """
    if not port:
        yield
        return
    app = web.Application()
    app.router.add_get("/healthz", _probe(healthy))
    app.router.add_get("/readyz", _probe(ready))
    app.router.add_get("/metrics", _metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, port=port).start()
        except OSError as error:
            raise SettingsError(
                f"ASYNCAPIPROXY_HEALTH_PORT: cannot listen on {port}: {error.strerror}"
            ) from error
        yield
    finally:
        await runner.cleanup()


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def probe(_: web.Request) -> web.Response:
        wrong = check()
        return web.Response(text=wrong or "ok", status=503 if wrong else 200)

    return probe


async def _metrics(request: web.Request) -> web.Response:
    body, content_type = exposition(",".join(request.headers.getall("Accept", [])))
    return web.Response(body=body, headers={"Content-Type": content_type})
