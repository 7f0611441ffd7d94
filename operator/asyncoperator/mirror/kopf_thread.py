"""Runs kopf, which watches our objects, in a thread and an event loop of its own.

kopf cancels what it finds in its loop, and waits there; so it gets none of ours.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import kopf

from asyncoperator.cluster.credentials import sign_in, tls
from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import SimpleNamespace

SILENCE_SECONDS = 180.0
"""A watch that is this silent is stuck: by itself it is asked for again after SERVER_SECONDS."""
SERVER_SECONDS = 120
"""How long the API server keeps one watch. So each is heard of, even where nothing happens."""
JOIN_SECONDS = 3.0
"""How long kopf may take to stop. Then the process ends without it: its thread is a daemon."""


class WatchEndedError(AsyncApiProxyError):
    """Nothing watches the objects any more."""


class KopfThread:
    """kopf, watching the objects of one namespace."""

    def __init__(
        self,
        register: Callable[[kopf.OperatorRegistry], None],
        *,
        kubeconfig: Path | None,
        namespace: str,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._registry = kopf.OperatorRegistry()
        kopf.on.login(registry=self._registry)(self._login)  # pyright: ignore[reportUnknownMemberType] - kopf's handlers take any arguments
        register(self._registry)
        self._stop = threading.Event()
        self._started_at = time.monotonic()
        self._heard: dict[str, float] = {}
        self._thread: threading.Thread | None = None

    @property
    def fault(self) -> str | None:
        """What is wrong with the watching, for /healthz."""
        if self._thread is None or not self._thread.is_alive():
            return "kopf's thread does not run"
        since = min(self._heard.values(), default=self._started_at)
        silent = time.monotonic() - since
        return f"no watch was heard of for {silent:.0f} s" if silent > SILENCE_SECONDS else None

    async def run(self) -> None:
        """Watch until cancelled; raises WatchEndedError, from what ended kopf."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def tell(fault: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(fault)

        def watch() -> None:
            fault: BaseException | None = None
            try:
                asyncio.run(self._watch())
            except BaseException as error:  # noqa: BLE001 - whatever it is, the main loop raises it
                fault = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, fault)

        self._started_at = time.monotonic()
        self._thread = threading.Thread(target=watch, name="kopf", daemon=True)
        self._thread.start()
        try:
            fault = await asyncio.shield(ended)
        finally:
            self._stop.set()
            await asyncio.wait([ended], timeout=JOIN_SECONDS)
        raise WatchEndedError(f"kopf ended by itself: {fault!r}") from fault

    async def _watch(self) -> None:
        try:
            await kopf.operator(  # pyright: ignore[reportUnknownMemberType] - a type of its is unknown
                registry=self._registry,
                settings=_settings(),
                standalone=True,
                namespaces=[self._namespace],
                stop_flag=self._stop,
            )
        finally:
            # kopf waits for it in a thread of its own, which would hold up the end of the loop.
            self._stop.set()

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        """Kopf asks again when the API server no longer accepts it (401): a token has expired."""
        configuration, _namespace = await sign_in(self._kubeconfig)
        token: str | None = await configuration.get_api_key_with_prefix("BearerToken")
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._answered)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls(configuration)),
            headers={"Authorization": token} if token else None,
            proxy=configuration.proxy,
            trace_configs=[trace],
        )
        return kopf.AiohttpSession(server=configuration.host, aiohttp_session=session)

    async def _answered(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        answer: aiohttp.TraceRequestEndParams,
    ) -> None:
        # kopf tells nobody of bookmarks. But it breaks off a watch without one, and asks anew.
        if "watch" in answer.url.query and answer.response.ok:
            self._heard[answer.url.path] = time.monotonic()


def _settings() -> kopf.OperatorSettings:
    """Kopf's own defaults wait longer, read lists whole and look at all of the cluster."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = SERVER_SECONDS
    settings.networking.request_timeout = 30
    # Each object seen has a worker, for as long as this after it was. Limited, or long, they would
    # hold up the watch: fifty workers of 5 s see ten objects a second.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 0.1
    settings.process.ultimate_exiting_timeout = None  # it would end the process; we do that
    return settings
