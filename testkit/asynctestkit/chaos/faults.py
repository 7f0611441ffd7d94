"""What is broken, and when: a schedule made by the seed, and the injector that follows it."""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import asyncpg
import structlog

from asynctestkit.chaos.machine import Machine
from asynctestkit.chaos.supervised import Death
from asynctestkit.chaos.system import DELIVERERS, EXECUTORS, PROXIES, System
from asynctestkit.servers import ServerCommandError

WARM_UP_SECONDS = 15
GAP_SECONDS = (2.0, 7.0)
DOWN_SECONDS = (0.3, 4.0)
STOP_SECONDS = (5.0, 40.0)
READ_ONLY_SECONDS = 20.0
CATCH_UP_SECONDS = 10.0
"""After a stop: until a proxy on an ordinary machine has worked off those who queued at its socket,
800 and more."""
FAULTS = {
    "kill -9 proxy": 3,
    "kill -9 executor": 4,
    "SIGTERM proxy": 2,
    "SIGTERM executor": 3,
    "SIGSTOP proxy": 2,
    "SIGSTOP executor": 3,
    "SIGSTOP demo-api": 1,
    "restart rabbitmq": 1,
    "kill -9 rabbitmq": 1,
    "restart postgresql": 1,
    "kill -9 postgresql": 1,
    "close AMQP connections": 2,
    "terminate database backends": 2,
    "read-only postgresql": 1,
    "change operations": 2,
}
"""How often each is drawn, relative to the others."""

CLOSE_CONNECTIONS = """
    [spawn(fun() -> rabbit_networking:close_connection(Pid, "chaos") end)
     || Pid <- rabbit_networking:connections()], ok.
"""
"""`rabbitmqctl close_all_connections` waits for each client in turn, for stopped ones as well."""

AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a statement of our own may meet while the database is being broken."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Fault:
    """One fault: when, counted from the start of the load, what, whom, and for how long."""

    at: float
    name: str
    target: str
    seconds: float


@dataclass
class Outage:
    """A time in which a proxy owed nobody an answer. Open-ended while `until` is infinite."""

    service: str
    cause: str
    since: float
    until: float = float("inf")


@dataclass
class Injected:
    """What was really done, for the checks and the report."""

    faults: list[tuple[float, Fault]] = field(default_factory=list[tuple[float, Fault]])
    outages: list[Outage] = field(default_factory=list[Outage])
    deaths: list[Death] = field(default_factory=list[Death])
    misbehaviour: list[str] = field(default_factory=list[str])
    """A process that did not end well when asked to, and the like."""


def schedule(seed: int, *, seconds: float) -> list[Fault]:
    """Faults for so many seconds; equal for equal seeds, whatever the machine does."""
    rng = random.Random(f"faults {seed}")
    # Every kind once before any comes twice, so that a short run is no matter of luck.
    first = list(FAULTS)
    rng.shuffle(first)
    faults: list[Fault] = []
    stopped_until: dict[str, float] = {}
    at = WARM_UP_SECONDS
    while at < seconds - 5:
        name = first.pop() if first else rng.choices(list(FAULTS), weights=list(FAULTS.values()))[0]
        target = _target(name, rng)
        length = rng.uniform(*(STOP_SECONDS if name.startswith("SIGSTOP") else DOWN_SECONDS))
        gap = rng.uniform(*GAP_SECONDS)
        # Nothing is done to a process that is stopped: it would only be done when it goes on.
        if at > stopped_until.get(target, 0):
            if name.startswith("SIGSTOP"):
                length = min(length, max(5.0, seconds - at))
                stopped_until[target] = at + length + 2
            faults.append(Fault(round(at, 2), name, target, round(length, 2)))
        at += gap
    return faults


def _target(name: str, rng: random.Random) -> str:
    what = name.rpartition(" ")[2]
    choices = {"proxy": PROXIES, "executor": EXECUTORS + DELIVERERS}.get(what)
    return rng.choice(choices) if choices else what


class Injector:
    """Follows a schedule. All that touches processes runs in one thread, in order."""

    def __init__(self, system: System, thread: Executor, machine: Machine) -> None:
        self._system = system
        self._thread = thread
        self._machine = machine
        self.injected = Injected()

    async def run(self, faults: list[Fault], stop: asyncio.Event) -> None:
        """Follow the schedule until its end, or until `stop` where the machine lags behind it."""
        started = time.time()
        async with asyncio.TaskGroup() as stops:
            for fault in faults:
                await asyncio.sleep(max(0.0, started + fault.at - time.time()))
                if stop.is_set():
                    break
                log.info(
                    "fault", at=f"{time.time() - started:.1f}", what=fault.name, target=fault.target
                )
                self.injected.faults.append((time.time(), fault))
                if fault.name.startswith("SIGSTOP"):
                    await self._do(self._suspend, fault)
                    stops.create_task(self._resume_later(fault))
                elif fault.name == "terminate database backends":
                    await self._terminate_backends()
                elif fault.name == "read-only postgresql":
                    stops.create_task(self._read_only())
                elif fault.name == "change operations":
                    stops.create_task(self._change_operations(fault))
                else:
                    await self._do(self._action(fault), fault)

    async def supervise(self) -> None:
        """Start again what has ended by itself, as Kubernetes would, and remember that it did."""
        while True:
            await asyncio.sleep(0.3)
            await self._do(self._look_after)

    async def restore(self) -> None:
        """Everything up and going, for good."""
        for service in self._system.services.values():
            await self._do(service.resume)
            if not service.process.is_running:
                await self._do(service.start)

    async def _do(self, action: Callable[..., None], *arguments: object) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, partial(action, *arguments))

    def _action(self, fault: Fault) -> Callable[[Fault], None]:
        verb = fault.name.rpartition(" ")[0]
        if fault.target in self._system.services:
            return {"kill -9": self._kill, "SIGTERM": self._terminate}[verb]
        return {
            "restart": self._restart_server,
            "kill -9": self._restart_server,
            "close AMQP": self._close_connections,
        }[verb]

    def _kill(self, fault: Fault) -> None:
        service = self._system.services[fault.target]
        outage = self._outage(fault.target, fault.name)
        service.kill()
        time.sleep(fault.seconds)
        self._start_again(fault.target, outage)

    def _terminate(self, fault: Fault) -> None:
        service = self._system.services[fault.target]
        outage = self._outage(fault.target, fault.name)
        was_ready = service.is_ready
        # Where the machine is so slow that it is stopped still, against the schedule.
        service.resume()
        code = service.terminate()
        if code != 0 and was_ready:
            self.injected.misbehaviour.append(
                f"{fault.target} ended with {code} after SIGTERM:\n{service.process.log_tail}"
            )
        self._start_again(fault.target, outage)

    def _start_again(self, name: str, outage: Outage) -> None:
        service = self._system.services[name]
        service.start()
        deadline = time.monotonic() + 30
        while not service.is_ready and service.process.is_running and time.monotonic() < deadline:
            time.sleep(0.05)
        # One that cannot start (its database is away) is started again by `_look_after`.
        if service.is_ready:
            outage.until = time.time()

    def _suspend(self, fault: Fault) -> None:
        self._outage(fault.target, fault.name)
        self._system.services[fault.target].suspend()

    async def _resume_later(self, fault: Fault) -> None:
        await asyncio.sleep(fault.seconds)
        # Not in the thread: it may be waiting for this very process.
        self._system.services[fault.target].resume()
        for outage in self.injected.outages:
            if outage.service == fault.target and outage.cause == fault.name:
                outage.until = min(outage.until, self._caught_up_at())

    def _restart_server(self, fault: Fault) -> None:
        is_database = fault.target == "postgresql"
        server = self._system.postgresql if is_database else self._system.rabbitmq
        outage = self._outage(fault.target, fault.name)
        (server.kill if fault.name.startswith("kill") else server.stop)()
        time.sleep(fault.seconds)
        server.start()
        outage.until = time.time()

    def _close_connections(self, _: Fault) -> None:
        with suppress(ServerCommandError):
            self._system.rabbitmq.ctl("eval", CLOSE_CONNECTIONS)

    async def _terminate_backends(self) -> None:
        with suppress(*AWAY):
            connection = await asyncpg.connect(self._system.postgresql.url, timeout=5)
            try:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            finally:
                await connection.close()

    async def _change_operations(self, fault: Fault) -> None:
        """As a roll does: one executor has the old file for a while."""
        text = self._system.change_operations()
        await asyncio.sleep(fault.seconds)
        self._system.change_late_operations(text)

    async def _read_only(self) -> None:
        """As a failover leaves the old server: it answers, and takes nothing."""
        await self._set_read_only("on")
        await asyncio.sleep(READ_ONLY_SECONDS)
        await self._set_read_only("off")

    async def _set_read_only(self, value: str) -> None:
        while True:
            with suppress(*AWAY):
                connection = await asyncpg.connect(self._system.postgresql.url, timeout=5)
                try:
                    await connection.execute(
                        f"ALTER SYSTEM SET default_transaction_read_only = {value}"
                    )
                    await connection.execute("SELECT pg_reload_conf()")
                    return
                finally:
                    await connection.close()
            await asyncio.sleep(0.2)

    def _caught_up_at(self) -> float:
        now = time.time()
        return now + CATCH_UP_SECONDS * self._machine.slowest(now, now)

    def _outage(self, service: str, cause: str) -> Outage:
        outage = Outage(service, cause, time.time())
        self.injected.outages.append(outage)
        return outage

    def _look_after(self) -> None:
        for service in self._system.services.values():
            if death := service.death():
                log.warning(
                    "a process ended by itself", service=death.service, code=death.exit_code
                )
                self.injected.deaths.append(death)
                self._start_again(service.name, self._outage(service.name, "ended by itself"))
            elif service.is_ready and not service.is_suspended:
                for outage in self.injected.outages:
                    if outage.service == service.name and outage.until == float("inf"):
                        outage.until = self._caught_up_at()
