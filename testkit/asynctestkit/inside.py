"""A whole installation inside the test's own process: real proxies, executors and upstream.

They differ from the deployed ones only in that a test can reach into them.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from aiohttp import web

from asyncexecutor.executor import run_executor
from asyncexecutor.settings import ExecutorSettings
from asyncproxy.access.access import Access
from asyncproxy.proxy import run_proxy
from asyncproxy.server import listen, url_of
from asyncproxy.settings import ProxySettings
from asynctasks.broker.protocol import Broker
from asynctasks.connections import Connections, connect
from asynctasks.database import Database
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.operation import Operation, Operations
from asynctasks.operations.sealing import new_sealing_key
from asynctasks.traces.traces import NO_TRACES, Traces
from asynctestkit.calls import caller
from asynctestkit.eventually import PATIENCE_SECONDS, eventually

ASYNC = {"Prefer": "respond-async"}

KEY = new_sealing_key()
CONNECTIONS = 3
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "password": {"type": "string", "writeOnly": True},
    },
}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def operation(name: str = "create-client", **declared: Any) -> Operation:
    """Of the queue `clients`, with a long window and quick retries, unless declared otherwise."""
    defaults: dict[str, Any] = {
        "name": name,
        "route": f"POST /{name}",
        "queue": "clients",
        "waitSeconds": PATIENCE_SECONDS,
        "arguments": ARGUMENTS,
        "upstream": {"url": "{UPSTREAM}/clients"},
        "retry": {"maxAttempts": 3, "backoffSeconds": [0.05, 0.1]},
    }
    return Operation.model_validate(defaults | declared)


def by_name(operations: Iterable[Operation]) -> Operations:
    return {each.name: each for each in operations}


@dataclass
class Upstream:
    """Answers 201 to every call, or what the test puts in `answers`, first come first served."""

    url: str = ""
    keys: list[str] = field(default_factory=list[str])
    disconnects: int = 0
    answers: list[Answer] = field(default_factory=list[Answer])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers["Idempotency-Key"])
        try:
            if self.answers:
                return await self.answers.pop(0)(request)
            return web.json_response({"number": len(self.keys)}, status=201)
        except asyncio.CancelledError:
            self.disconnects += 1
            raise

    def will(self, *answers: Answer) -> None:
        self.answers.extend(answers)


def status(code: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response({"status": code}, status=code, headers=named)

    return answer


def slow(seconds: float) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.json_response({"slow": seconds}, status=201)

    return answer


def held(until: asyncio.Event) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        await until.wait()
        return web.json_response({"held": True}, status=201)

    return answer


@asynccontextmanager
async def upstream() -> AsyncGenerator[Upstream]:
    served = Upstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    async with serving_app(app, handler_cancellation=True) as served.url:
        yield served


@asynccontextmanager
async def serving_app(
    app: web.Application,
    *,
    handler_cancellation: bool = False,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncGenerator[str]:
    """Where the application answers on loopback, as long as it is entered."""
    runner = web.AppRunner(
        app, handler_cancellation=handler_cancellation, shutdown_timeout=0.1, access_log=None
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        yield f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Stoppable:
    """A running proxy or executor."""

    def __init__(self, connections: Connections, url: str = "") -> None:
        self.connections = connections
        self.url = url
        self.operations = LiveOperations({})
        self.stop = asyncio.Event()
        self.ended = asyncio.Event()

    async def finish(self) -> None:
        """Stop it in good order, as long as it still has its connections."""
        self.stop.set()
        await self.ended.wait()


class Inside:
    """Starts proxies and executors over one database and one broker; the test's end stops them."""

    def __init__(self, stack: AsyncExitStack, given: Mapping[str, Any]) -> None:
        self._stack = stack
        self._tasks = asyncio.TaskGroup()
        self._given = {
            "sealing_keys": KEY,
            "drain_seconds": 0,
            "shutdown_seconds": 1,
            "database_connections": CONNECTIONS,
            "write_seconds": PATIENCE_SECONDS,
            "list_seconds": PATIENCE_SECONDS,
            "publish_seconds": PATIENCE_SECONDS,
            **given,
        }
        self._shared: Connections | None = None
        self.operations: dict[str, Operation] = {}
        self.upstream = Upstream()
        self.traces: Traces = NO_TRACES
        """What those that are started from now on tell their spans to."""
        self.environment: dict[str, str] = {}
        """What executors that are started from now on have, beside UPSTREAM."""

    async def open(self, *operations: Operation) -> None:
        self.operations = by_name(operations or (operation(),))
        self.upstream = await self._stack.enter_async_context(upstream())
        self._stack.push_async_exit(self._tasks)
        await self._tasks.__aenter__()

    async def proxy(self, *, access: Access | None = None, **settings: Any) -> Stoppable:
        connections = await self._connections(settings)
        listener = self._stack.enter_context(listen("127.0.0.1", 0))
        proxy = Stoppable(connections, url_of(listener))
        read = ProxySettings.read({**self._given, **settings})
        proxy.operations = LiveOperations(self.operations)
        running = run_proxy(
            read, proxy.operations, connections, listener, proxy.stop, access=access
        )
        self._run(proxy, running)

        async def serves() -> None:
            async with caller(proxy.url) as client:
                assert (await client.get("/ping")).status_code == 200

        await eventually(serves)
        return proxy

    async def executor(
        self,
        *operations: Operation,
        through: Callable[[Broker], Any] | None = None,
        queue: str = "clients",
        **settings: Any,
    ) -> Stoppable:
        """Start one, of these operations if any; `through` is put between it and its broker."""
        connections = await self._connections(settings)
        if through is not None:
            connections = replace(connections, broker=through(connections.broker))
        executor = Stoppable(connections)
        executor.operations = LiveOperations(by_name(operations) or self.operations)
        running = run_executor(
            ExecutorSettings.read({**self._given, "watch_seconds": 0.1, **settings}),
            executor.operations,
            connections,
            queue=queue,
            environment={"UPSTREAM": self.upstream.url, **self.environment},
            stop=executor.stop,
        )
        self._run(executor, running)
        return executor

    async def client(self, proxy: Stoppable) -> httpx.AsyncClient:
        return await self._stack.enter_async_context(caller(proxy.url))

    async def _connections(self, settings: Mapping[str, Any]) -> Connections:
        """Shared where the broker is in memory, since it has to be; else each its own."""
        if self._shared is not None:
            return self._shared
        read = ProxySettings.read({**self._given, **settings})
        opened = await self._stack.enter_async_context(connect(read, self.operations))
        connections = replace(opened, traces=self.traces)
        await _open_all(connections.database)
        if read.broker_url.startswith("memory:"):
            self._shared = connections
        return connections

    def _run(self, what: Stoppable, running: Any) -> None:
        async def run() -> None:
            try:
                await running
            finally:
                what.ended.set()

        self._tasks.create_task(run())
        self._stack.push_async_callback(what.finish)


async def _open_all(database: Database) -> None:
    """Open the pool's connections: one that a stop cancels as it opens is never closed."""
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS - 1):
            await stack.enter_async_context(database.read())
        await stack.enter_async_context(database.write())


@asynccontextmanager
async def inside(*operations: Operation, **given: Any) -> AsyncGenerator[Inside]:
    """An installation with these operations and settings."""
    async with AsyncExitStack() as stack:
        installation = Inside(stack, given)
        await installation.open(*operations)
        yield installation


async def one_of_each(installation: Inside) -> httpx.AsyncClient:
    """A caller of a proxy with an executor behind it."""
    proxy = await installation.proxy()
    await installation.executor()
    return await installation.client(proxy)


async def accepted(client: httpx.AsyncClient, **headers: str) -> str:
    """The id of a task that was submitted without waiting for it."""
    answer = await client.post("/create-client", json={}, headers={**ASYNC, **headers})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]
