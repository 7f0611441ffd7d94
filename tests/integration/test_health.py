"""What /healthz of each service says: no where a loop has stopped, yes whatever is away."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from asyncoperator.cluster.kube_errors import KubeUnavailableError
from asyncoperator.cluster.leader import Leader
from asyncoperator.operator_process import Operator
from asyncproxy.watch import Watch
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.loop import STUCK_SECONDS, Loop
from asynctasks.statements.claims import Claims
from asynctasks.statements.old_tasks import OldTasks
from asynctasks.statements.releases import HeldTasks
from asynctasks.statements.roster import Roster
from asynctasks.statements.upkeep import Upkeep
from asynctestkit.calls import caller
from asynctestkit.eventually import eventually
from asynctestkit.inside import Inside, accepted, held, inside
from asynctestkit.ports import free_port

LATER_SECONDS = STUCK_SECONDS + 1


class Clock:
    """The loops' clock; a test lets minutes pass."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("asynctasks.loop.time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


async def hang(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


async def be_away(*_: Any, **__: Any) -> Any:
    raise DatabaseUnavailableError


@asynccontextmanager
async def health_of(port: int) -> AsyncGenerator[Any]:
    async with caller(f"http://127.0.0.1:{port}") as client:

        async def says(status: int, *words: str) -> None:
            async def it_does() -> None:
                try:
                    answer = await client.get("/healthz")
                except httpx.ConnectError as error:
                    raise AssertionError("not listening") from error
                assert answer.status_code == status, answer.text
                for word in words:
                    assert word in answer.text

            await eventually(it_does)

        yield says


PROXY_LOOPS = {
    "relay: release what is held": (HeldTasks, "waiting"),
    "relay: publish polls": (Upkeep, "take_due_polls"),
    "relay: publish what is lost": (Upkeep, "overdue_queues"),
    "relay: dead leases": (Upkeep, "dead"),
    "relay: expiry": (Upkeep, "late"),
    "relay: purge tasks": (OldTasks, "purge"),
    "relay: forget executors": (Roster, "forget"),
    "admission": (Upkeep, "backlogs"),
    "watch": (Watch, "_look"),
}


async def test_a_proxy_whose_loops_hang_names_each(
    sqlite_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    for of, method in PROXY_LOOPS.values():
        monkeypatch.setattr(of, method, hang)
    port = free_port()
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        await installation.proxy(health_port=port)
        async with health_of(port) as says:
            await says(200, "ok")
            clock.passed = LATER_SECONDS
            await says(503, *(f"{name} has finished no tick for" for name in PROXY_LOOPS))


async def test_a_proxy_is_healthy_for_as_long_as_its_database_is_away(
    sqlite_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    for of, method in PROXY_LOOPS.values():
        monkeypatch.setattr(of, method, be_away)
    port = free_port()
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        await installation.proxy(health_port=port)
        async with health_of(port) as says:
            await says(200, "ok")
            clock.passed = LATER_SECONDS
            # As soon as each has tried again: those that purge do so after a minute, by the real
            # clock, and are not late yet.
            await says(200, "ok")


async def test_an_executor_whose_loops_hang_names_each(
    sqlite_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    called: set[str] = set()
    for of, method in ((Claims, "renew"), (Roster, "beat")):

        async def hang_here(*_: Any, method: str = method, **__: Any) -> None:
            called.add(method)
            await hang()

        monkeypatch.setattr(of, method, hang_here)
    port = free_port()
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        await run_a_task(installation, health_port=port)

        def both_hang() -> None:
            assert called == {"renew", "beat"}

        await eventually(both_hang)
        async with health_of(port) as says:
            await says(200, "ok")
            clock.passed = LATER_SECONDS
            await says(503, "leases has finished no tick for", "heartbeat has finished no tick for")


async def test_an_executor_is_healthy_for_as_long_as_its_database_is_away(
    sqlite_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    for of, method in ((Claims, "renew"), (Claims, "look"), (Roster, "beat")):
        monkeypatch.setattr(of, method, be_away)
    port = free_port()
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        await run_a_task(installation, health_port=port, roster_seconds=1)
        async with health_of(port) as says:
            for _ in range(3):
                clock.passed += LATER_SECONDS
                await says(200, "ok")


async def run_a_task(installation: Inside, **settings: Any) -> None:
    """An executor with an attempt in hand, whose lease it has to keep."""
    installation.upstream.will(held(asyncio.Event()))
    client = await installation.client(await installation.proxy())
    await installation.executor(**settings)
    await accepted(client)


class Leases:
    """An API server that answers about a Lease as it is told to."""

    def __init__(self, answer: Any) -> None:
        self.get_lease = answer


@pytest.mark.parametrize("is_away", [False, True])
async def test_an_operator_whose_lease_is_not_looked_at_is_not_healthy_unless_it_waits(
    clock: Clock, is_away: bool
):
    async def refuse(_: str) -> None:
        raise KubeUnavailableError("away")

    leader = candidate(refuse if is_away else hang)
    operator = operator_of(leader)
    standing_by = asyncio.create_task(leader.acquire())
    try:
        await asyncio.sleep(0.05)
        assert operator.fault() is None
        clock.passed = LATER_SECONDS
        await asyncio.sleep(0.05)
        if is_away:
            assert operator.fault() is None
            assert leader.obstacle == "the Lease cannot be looked at: away"
        else:
            assert operator.fault() == "lease operator has finished no tick for 121 s"
    finally:
        standing_by.cancel()
        await asyncio.wait([standing_by])


async def test_a_leading_operator_whose_loop_hangs_is_not_healthy(clock: Clock):
    operator = operator_of(candidate(hang))
    mirror = Loop("mirror", hang, interval_seconds=1)
    operator._loops = (mirror, Loop("scaling", hang, interval_seconds=2))
    mirroring = asyncio.create_task(mirror.run())
    try:
        await asyncio.sleep(0)
        assert operator.fault() is None
        clock.passed = LATER_SECONDS
        assert operator.fault() == "mirror has finished no tick for 121 s"
    finally:
        mirroring.cancel()
        await asyncio.wait([mirroring])


def candidate(get_lease: Any) -> Leader:
    kube: Any = Leases(get_lease)
    return Leader(
        kube,
        "operator",
        "first",
        "mine",
        lease_seconds=1,
        renew_seconds=0.3,
        retry_seconds=0.01,
    )


def operator_of(leader: Leader) -> Operator:
    anything: Any = None
    return Operator(anything, anything, anything, anything, leader)
