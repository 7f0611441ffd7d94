"""Serves an ASGI application by uvicorn until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import structlog
import uvicorn

from asyncproxy.http_protocol import BoundedProtocol, ConnectionCount, HttpLimits
from asynctasks.errors import AsyncApiProxyError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from starlette.types import ASGIApp

    from asyncproxy.settings import ProxySettings

BACKLOG = 2048
ACCEPTED = 16
"""New connections that are taken each time the loop goes round.

uvloop takes one for each handle that listens (libuv since 1.45), so the one socket has so many.
"""

ENFORCE_SECONDS = 0.5
"""How often connections are looked at for what their peers have not done in time."""
SPARE_FILES = 512
"""Open files beside the callers' connections: database, broker, logs, modules."""

log = structlog.get_logger(__name__)


class ServerStartError(AsyncApiProxyError):
    """The server could not start; the log says why."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises SettingsError where the address cannot be had.

    `::` is every address there is, those of IPv4 too.
    """
    if not host:
        raise SettingsError("Cannot listen on an empty address; 0.0.0.0 or :: is every one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    is_every = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=is_every
        )
    except OSError as error:
        raise SettingsError(f"Cannot listen on {host}:{port}: {error.strerror}") from error


def limits_of(settings: ProxySettings) -> HttpLimits:
    """What one connection may take, and for how long."""
    return HttpLimits(
        max_connections=settings.max_connections,
        max_url_bytes=settings.max_url_bytes,
        max_header_bytes=settings.max_header_bytes,
        keep_alive_seconds=settings.keep_alive_seconds,
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        write_seconds=settings.client_stall_seconds,
    )


def url_of(listener: socket.socket) -> str:
    """Where it answers."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: one place in the process decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        """Renew the headers of all answers in place: a call that waits has the list already."""
        held = self.server_state.default_headers
        ends = await super().on_tick(counter)
        held[:] = self.server_state.default_headers
        self.server_state.default_headers = held
        return ends

    async def run_until_told(self, listener: socket.socket) -> None:
        """Raises ServerStartError where uvicorn would end the whole process from inside a task."""
        self.config.load()
        # Or the first callers, who come while it still starts, are answered without a Date.
        await self.on_tick(0)
        try:
            await self.serve(sockets=[listener, *(listener.dup() for _ in range(ACCEPTED - 1))])
        except SystemExit as error:
            raise ServerStartError from error


async def serve(
    app: ASGIApp,
    *,
    listener: socket.socket,
    stop: asyncio.Event,
    limits: HttpLimits = HttpLimits(),  # noqa: B008 - it is immutable
    shutdown_seconds: float,
    linger_seconds: float = 0,
    on_stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve until `stop` is set, and linger; then finish the open requests, within the time given.

    While it lingers each answer closes its connection: one that is kept would be cut later, maybe
    just when a request is on its way. `on_stopping` is called after that, so that requests that
    only wait can be ended at once.
    """
    _allow_open_files(limits.max_connections + SPARE_FILES)
    config = uvicorn.Config(
        app,
        http=partial(BoundedProtocol, limits=limits, count=ConnectionCount()),  # type: ignore[arg-type]
        ws="none",
        timeout_keep_alive=max(1, round(limits.keep_alive_seconds)),
        log_config=None,
        access_log=False,
        # What proxies in front say is read where it is asked for.
        proxy_headers=False,
        # Of every answer: no browser may take one for what its type does not say.
        headers=[("x-content-type-options", "nosniff")],
        server_header=False,
        timeout_graceful_shutdown=max(1, round(shutdown_seconds)),
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.run_until_told(listener), name="uvicorn")
        enforcing = tasks.create_task(_enforce(server), name="limits of connections")
        serving.add_done_callback(lambda _: enforcing.cancel())
        await stop.wait()
        if linger_seconds:
            log.info("lingers", seconds=linger_seconds)
            # uvicorn takes these up within a second.
            config.encoded_headers.append((b"connection", b"close"))
            await asyncio.sleep(linger_seconds)
        server.should_exit = True
        on_stopping()
    log.info("no longer listening")


async def _enforce(server: uvicorn.Server) -> NoReturn:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(ENFORCE_SECONDS)
        now = loop.time()
        for connection in list(server.server_state.connections):
            assert isinstance(connection, BoundedProtocol)
            connection.enforce(now)


def _allow_open_files(wanted: int) -> None:
    """Raise this process's limit of open files, and say where it cannot be raised far enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("few open files allowed", allowed=allowed, wanted=wanted)
