"""`parked`: as many callers as a proxy takes wait at it; then an executor comes and answers all."""

import asyncio
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import asyncpg
import orjson

from asynctestkit.processes import Service
from benchmarks.machine.bench import Bench, console
from benchmarks.machine.cpu import cpu_times, rss_bytes, used
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table
from benchmarks.systems.systems import installed

WAIT_SECONDS = 600
WAVE = 250
"""Callers that arrive at once; the next come when the tasks of these are stored."""
SPARE_FILES = 200
"""Files of a proxy that are no caller's."""
ANSWER_SECONDS = 240
STORE_SECONDS = 120
SETTLE_SECONDS = 2
GOOD = {"200", "201"}


@dataclass(frozen=True, slots=True)
class Parked:
    """What callers cost a proxy while they wait, and how soon they are answered."""

    callers: int
    """As many as were asked for, or as the limit of open files lets in."""
    files_limit: int
    """Files that a process may open."""
    arriving_seconds: float
    rss_empty_bytes: int
    rss_parked_bytes: int
    rss_answered_bytes: int
    idle_share: dict[str, float]
    """Of one core, by part, while all wait."""
    answering_seconds: float
    statuses: dict[str, int]
    unanswered: int

    @property
    def is_answered(self) -> bool:
        """Whether every caller got the upstream's answer."""
        return not self.unanswered and set(self.statuses) <= GOOD

    def rss_bytes_with(self, callers: int) -> float:
        """The memory that so many would take."""
        each = (self.rss_parked_bytes - self.rss_empty_bytes) / self.callers
        return self.rss_empty_bytes + each * callers


def _run(bench: Bench, asked: Asked) -> Parked:
    files_limit = _raise_files_limit()
    callers = min(500 if asked.quick else 20_000, files_limit - SPARE_FILES)
    with bench.database() as url, bench.queue_prefix() as prefix:
        installation = installed(bench, url, prefix)
        with (
            installation.proxy(max_wait_seconds=WAIT_SECONDS) as proxy,
            asyncio.Runner() as runner,
        ):
            empty = rss_bytes(proxy.pid)
            crowd = _Crowd(proxy.url.rpartition(":")[2])
            arriving = _seconds(lambda: runner.run(crowd.arrive(callers, url)))
            # All of them are there before the first look at what they cost.
            runner.run(asyncio.sleep(SETTLE_SECONDS))
            full = rss_bytes(proxy.pid)
            idle = _idle_share(bench, proxy, 1 if asked.quick else 20, runner)
            with installation.executor():
                answering = _seconds(lambda: runner.run(crowd.answered()))
                peak = rss_bytes(proxy.pid)
                crowd.leave()
    parked = Parked(
        callers=callers,
        files_limit=files_limit,
        arriving_seconds=arriving,
        rss_empty_bytes=empty,
        rss_parked_bytes=full,
        rss_answered_bytes=peak,
        idle_share=idle,
        answering_seconds=answering,
        statuses=crowd.statuses,
        unanswered=crowd.unanswered,
    )
    console.print(f"  {parked}")
    return parked


def _raise_files_limit() -> int:
    """How many files a process may have open, after raising that as far as we may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _seconds(run: Callable[[], None]) -> float:
    began = time.monotonic()
    run()
    return time.monotonic() - began


def _idle_share(
    bench: Bench, proxy: Service, seconds: float, runner: asyncio.Runner
) -> dict[str, float]:
    parts = {
        "proxy": [proxy.pid],
        "rabbitmq": bench.rabbitmq_pids,
        "postgresql": bench.postgresql_pids,
    }
    before = cpu_times(parts)
    waited = _seconds(lambda: runner.run(asyncio.sleep(seconds)))
    return {name: ns / 1e9 / waited for name, ns in used(before, cpu_times(parts)).items()}


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
        """Callers that still wait."""
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

    def __init__(self, number: int, on_answer: Callable[[str], None]) -> None:
        self._number = number
        self._on_answer = on_answer
        self._is_answered = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
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


def _tables(parked: Parked) -> Iterator[tuple[str, Table]]:
    per_caller = (parked.rss_parked_bytes - parked.rss_empty_bytes) / parked.callers
    idle = ", ".join(f"{name} {share:.1%}" for name, share in parked.idle_share.items())
    statuses = ", ".join(f"{count:,} × {status}" for status, count in parked.statuses.items())
    rows = [
        ["callers", f"{parked.callers:,} (files a process may open: {parked.files_limit:,})"],
        ["memory of the proxy without callers", f"{parked.rss_empty_bytes / 1e6:,.0f} MB"],
        ["with all of them", f"{parked.rss_parked_bytes / 1e6:,.0f} MB"],
        ["for each", f"{per_caller / 1000:,.1f} kB"],
        ["when all are answered", f"{parked.rss_answered_bytes / 1e6:,.0f} MB"],
        ["time for all to arrive, each task committed", f"{parked.arriving_seconds:,.1f} s"],
        ["CPU while they wait, of one core", idle],
        ["time to run and answer all, one executor", f"{parked.answering_seconds:,.1f} s"],
        ["answers", f"{statuses}; without one: {parked.unanswered}"],
    ]
    yield "parked", Table("Parked callers in one proxy", ["what", "measured"], rows)


def _promises(parked: Parked | None) -> Iterator[Promise]:
    text = "20,000 parked callers in one proxy within 500 MB"
    if not parked:
        yield Promise(text)
        return
    measured = f"{parked.callers:,} in {parked.rss_parked_bytes / 1e6:,.0f} MB"
    # A limit of open files may stop a little short of it; the rest is no great extrapolation.
    needed = parked.rss_bytes_with(20_000)
    if parked.callers < 20_000:
        measured += f" (20,000 would take {needed / 1e6:,.0f} MB)"
    yield Promise(text, measured, needed <= 500e6 and parked.is_answered)


def _faults(parked: Parked) -> Iterator[str]:
    if not parked.is_answered:
        yield f"parked: {parked.statuses}, {parked.unanswered} without an answer"


PARKED = Section(
    name="parked", results=Parked, run=_run, tables=_tables, promises=_promises, faults=_faults
)
