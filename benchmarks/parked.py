"""`parked`: as many callers as a proxy takes wait at it; then an executor comes and answers all."""

import asyncio
import resource
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from bench import Bench, console
from cpu import cpu_times, rss_bytes, used
from systems import installed

WAIT_SECONDS = 600
WAVE = 250
"""Callers that arrive at once; the next come when the tasks of these are stored."""
SPARE_FILES = 200
"""Files of a proxy that are no caller's."""
ANSWER_SECONDS = 240
STORE_SECONDS = 120


def files_limit() -> int:
    """How many files a process may have open, after raising that as far as we may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def run(bench: Bench, *, callers: int, parked_seconds: float) -> dict[str, Any]:
    """Memory, CPU while they wait, and how long it takes to answer them."""
    limit = files_limit() - SPARE_FILES
    parked = min(callers, limit)
    with bench.database() as url, bench.queue_prefix() as prefix:
        installation = installed(bench, url, prefix)
        proxy_settings = {"max_wait_seconds": WAIT_SECONDS}
        with installation.proxy(**proxy_settings) as proxy:
            empty = rss_bytes(proxy.pid)
            crowd = _Crowd(proxy.url.rpartition(":")[2])
            parts = {
                "proxy": [proxy.pid],
                "rabbitmq": bench.rabbitmq_pids,
                "postgresql": bench.postgresql_pids,
            }
            with asyncio.Runner() as runner:
                began = time.monotonic()
                runner.run(crowd.arrive(parked, url))
                arriving = time.monotonic() - began
                # All of them are there before the first look at what they cost.
                runner.run(asyncio.sleep(2))
                full = rss_bytes(proxy.pid)
                before, began = cpu_times(parts), time.monotonic()
                runner.run(asyncio.sleep(parked_seconds))
                idle = used(before, cpu_times(parts))
                waited = time.monotonic() - began
                executor = installation.executor().launch()
                try:
                    executor.wait_until_ready()
                    began = time.monotonic()
                    runner.run(crowd.answered())
                    answering = time.monotonic() - began
                    peak = rss_bytes(proxy.pid)
                finally:
                    executor.kill()
                    crowd.leave()
    result = {
        "callers": parked,
        "wanted": callers,
        "files_limit": limit + SPARE_FILES,
        "arriving_seconds": arriving,
        "rss_empty_bytes": empty,
        "rss_parked_bytes": full,
        "rss_answered_bytes": peak,
        "idle_share": {name: ns / 1e9 / waited for name, ns in idle.items()},
        "answering_seconds": answering,
        "statuses": crowd.statuses,
        "unanswered": crowd.unanswered,
    }
    console.print(f"  parked: {result}")
    return result


@dataclass
class _Crowd:
    """Callers with a connection each."""

    port: str
    statuses: dict[str, int] = field(default_factory=dict[str, int])
    _callers: list["_Caller"] = field(default_factory=list["_Caller"])
    _open: int = 0
    _all_answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def arrive(self, number: int, database_url: str) -> None:
        """Raises TimeoutError where the proxy has not stored the tasks of all in time."""
        loop = asyncio.get_running_loop()
        database = await asyncpg.connect(database_url)
        try:
            async with asyncio.timeout(STORE_SECONDS + number / 100):
                for start in range(0, number, WAVE):
                    await asyncio.gather(
                        *(
                            loop.create_connection(
                                lambda n=n: self._caller(n),
                                "127.0.0.1",
                                int(self.port),
                                # A source address has only so many ports.
                                local_addr=(f"127.0.0.{2 + n % 8}", 0),
                            )
                            for n in range(start, min(start + WAVE, number))
                        )
                    )
                    stored = 0
                    while stored < min(start + WAVE, number) - sum(self.statuses.values()):
                        await asyncio.sleep(0.02)
                        stored = await database.fetchval("SELECT count(*) FROM tasks")
        finally:
            await database.close()

    async def answered(self) -> None:
        """Return when each has its answer, or the time for it is over."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._all_answered.wait()
        except TimeoutError:
            console.print(f"  [red]{self._open} callers have no answer[/]")

    def leave(self) -> None:
        """Close the connections."""
        for caller in self._callers:
            caller.leave()

    @property
    def unanswered(self) -> int:
        return self._open

    def _caller(self, number: int) -> "_Caller":
        caller = _Caller(number, self._on_answer)
        self._callers.append(caller)
        self._open += 1
        return caller

    def _on_answer(self, status: str) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self._open -= 1
        if not self._open:
            self._all_answered.set()


class _Caller(asyncio.Protocol):
    """POSTs once and waits."""

    def __init__(self, number: int, on_answer: Any) -> None:
        self._number = number
        self._on_answer = on_answer
        self._is_answered = False
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        body = orjson.dumps({"email": f"parked-{self._number}@example.com", "name": "Ann"})
        self._transport.write(
            b"POST /clients HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"prefer: wait=%d\r\ncontent-length: %d\r\n\r\n%s" % (WAIT_SECONDS, len(body), body)
        )

    def data_received(self, data: bytes) -> None:
        self._answered(data[9:12].decode())

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._answered("lost")

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _answered(self, status: str) -> None:
        if not self._is_answered:
            self._is_answered = True
            self._on_answer(status)
