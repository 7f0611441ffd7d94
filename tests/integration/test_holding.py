"""Limits, with real proxies and executors: how many run, how many start, who is next, who waits."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit import Limit
from asynctasks.operations.operation import Operation
from asynctasks.statements.claims import Claimable, Claims
from asynctasks.statements.conditions import tasks
from asynctasks.statements.limit_states import LimitStates
from asynctasks.statements.releases import HeldTasks
from asynctasks.task import TaskStatus
from asynctestkit.calls import finished_task, get_task
from asynctestkit.eventually import eventually
from asynctestkit.gated_upstream import GatedUpstream, gated_upstream
from asynctestkit.inside import ASYNC, Inside, Stoppable, inside, operation

if TYPE_CHECKING:
    from datetime import datetime

    import httpx


class Held:
    """An installation whose operation `create-client` has the limit `crm`, and `other` none."""

    def __init__(self, installation: Inside, upstream: GatedUpstream) -> None:
        self.installation = installation
        self.upstream = upstream
        self.proxy: Stoppable
        self.client: httpx.AsyncClient

    async def submit(self, count: int = 1, name: str = "", **headers: str) -> list[str]:
        """The ids of so many tasks, whose callers do not wait."""
        given = {**ASYNC, **{key.replace("_", "-"): value for key, value in headers.items()}}

        async def one() -> str:
            answer = await self.client.post("/create-client", json={"name": name}, headers=given)
            assert answer.status_code == 202, answer.text
            return answer.json()["id"]

        return list(await asyncio.gather(*(one() for _ in range(count))))

    async def calls(self, count: int) -> None:
        """Until the upstream has had so many."""

        def enough() -> None:
            assert len(self.upstream.names) >= count

        await eventually(enough)

    async def statuses(self) -> Counter[TaskStatus]:
        async with self.proxy.connections.database.read() as connection:
            counted = select(tasks.c.status, func.count()).group_by(tasks.c.status)
            return Counter(dict(iter(await connection.execute(counted))))

    async def all_succeeded(self, count: int) -> None:
        async def have() -> None:
            assert await self.statuses() == {TaskStatus.SUCCEEDED: count}

        await eventually(have)

    @property
    def states(self) -> LimitStates:
        return LimitStates(self.proxy.connections.database)


def bounded(limit: dict[str, Any], **declared: Any) -> Operation:
    of = Limit.model_validate({"name": "crm", **limit})
    return operation(limits=("crm",), **declared).bounded_by({"crm": of})


@asynccontextmanager
async def holding(
    servers: dict[str, Any],
    limit: dict[str, Any],
    *,
    executors: int = 1,
    concurrency: int = 25,
    seconds: float = 0.0,
    is_open: bool = True,
    **settings: Any,
) -> AsyncGenerator[Held]:
    operations = (bounded(limit), operation("other", upstream={"url": "{UPSTREAM}/other"}))
    async with (
        gated_upstream(seconds=seconds, is_open=is_open) as upstream,
        inside(*operations, **servers, **settings) as installation,
    ):
        installation.environment["UPSTREAM"] = upstream.url
        held = Held(installation, upstream)
        held.proxy = await installation.proxy()
        held.client = await installation.client(held.proxy)
        for _ in range(executors):
            await installation.executor(concurrency=concurrency)
        yield held


async def test_while_nobody_waits_for_a_limit_tasks_start_without_a_release(
    servers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    release, let_go = HeldTasks.release, list[Any]()

    async def counted(*given: Any) -> Any:
        released = await release(*given)
        let_go.extend(released.tasks)
        return released

    monkeypatch.setattr(HeldTasks, "release", counted)
    async with holding(servers, {"concurrency": 1_000}) as held:
        for _ in range(20):
            await held.submit(10)
        await held.all_succeeded(200)
    assert len(let_go) < 100


async def test_of_all_executors_together_no_more_run_than_the_limit_says(servers: dict[str, Any]):
    async with holding(servers, {"concurrency": 10}, executors=4, seconds=0.5) as held:
        await held.submit(80)
        await held.all_succeeded(80)
        assert held.upstream.most == 10
        assert len(held.upstream.names) == 80


async def test_no_more_start_in_any_time_than_rate_and_burst_allow(servers: dict[str, Any]):
    rate, burst = 20, 5
    limit = {"ratePerSecond": rate, "burst": burst}
    async with holding(servers, limit, executors=2) as held:
        await held.submit(30)
        await held.all_succeeded(30)
        async with held.proxy.connections.database.read() as connection:
            rows = await connection.execute(select(tasks.c.attempt_started_at))
            starts: list[datetime] = sorted(rows.scalars())
        for first, begin in enumerate(starts):
            for last in range(first, len(starts)):
                # The claim pays a moment after it has noted the start.
                seconds = (starts[last] - begin).total_seconds() + 0.005
                assert last - first + 1 <= rate * seconds + burst
        # And it goes as fast as it may, or nearly: the look for room comes a little late.
        assert (starts[-1] - starts[0]).total_seconds() < 4 * (30 - burst) / rate


async def test_who_has_three_times_the_weight_gets_three_times_as_much(servers: dict[str, Any]):
    limit = {"concurrency": 2, "fairBy": "label:team", "weights": {"red": 3}}
    async with holding(servers, limit, is_open=False) as held:
        for team in ("red", "blue"):
            await held.submit(60, team, Task_Labels=f"team={team}")
        held.upstream.gate.set()
        await held.calls(62)
        # The first two came before anybody else waited.
        counted = Counter(held.upstream.names[2:62])
        assert counted["red"] == pytest.approx(45, abs=45 * 0.1)


async def test_a_flood_keeps_nobody_else_waiting(servers: dict[str, Any]):
    limit = {"concurrency": 4, "fairBy": "label:team"}
    async with holding(servers, limit, seconds=0.05) as held:
        await held.submit(150, "flood", Task_Labels="team=flood")
        lone = {"Task-Labels": "team=lone", "Prefer": "wait=30"}
        for _ in range(3):
            answer = await held.client.post("/create-client", json={"name": "lone"}, headers=lone)
            assert (answer.status_code, answer.json()["name"]) == (201, "lone")
        assert (await held.statuses())[TaskStatus.QUEUED] > 50


async def test_a_higher_priority_overtakes_what_is_held(servers: dict[str, Any]):
    async with holding(servers, {"concurrency": 1}, is_open=False) as held:
        await held.submit(1, "running")
        await held.calls(1)
        await held.submit(3, "usual")
        await held.submit(1, "low", Task_Priority="0")
        await held.submit(2, "high", Task_Priority="9")
        held.upstream.gate.set()
        await held.all_succeeded(7)
        assert held.upstream.names == ["running", *["high"] * 2, *["usual"] * 3, "low"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (PausedKind.QUEUE, "clients"),
        (PausedKind.OPERATION, "create-client"),
        (PausedKind.LIMIT, "crm"),
    ],
)
async def test_while_it_is_paused_nothing_starts_and_then_who_waits_is_answered(
    servers: dict[str, Any], kind: PausedKind, name: str
):
    async with holding(servers, {"concurrency": 5}) as held:
        await held.states.pause(kind, name, by="ann")
        # Until the executors have seen it.
        await asyncio.sleep(1.2)
        wait = {"Prefer": "wait=30"}
        calling = asyncio.create_task(
            held.client.post("/create-client", json={"name": "patient"}, headers=wait)
        )
        await asyncio.sleep(0.8)
        assert held.upstream.names == []
        assert await held.statuses() == {TaskStatus.QUEUED: 1}
        await held.states.resume(kind, name)
        answer = await calling
        assert (answer.status_code, answer.json()["name"]) == (201, "patient")
        task = await get_task(held.client, answer.headers["Task-Id"])
        assert len(task["attempts"]) == 1


async def test_what_was_published_when_its_operation_was_paused_is_held_again(
    servers: dict[str, Any],
):
    async with holding(servers, {}, executors=0) as held:
        ids = [
            (await held.client.post("/other", json={}, headers=ASYNC)).json()["id"]
            for _ in range(5)
        ]
        await held.states.pause(PausedKind.OPERATION, "other", by="")
        await held.installation.executor()

        async def have_no_message() -> None:
            async with held.proxy.connections.database.read() as connection:
                published = select(func.count()).where(tasks.c.published)
                assert await connection.scalar(published) == 0

        await eventually(have_no_message)
        assert held.upstream.names == []
        await held.states.resume(PausedKind.OPERATION, "other")
        for task_id in ids:
            task = await finished_task(held.client, task_id)
            assert (task["status"], len(task["attempts"])) == ("succeeded", 1)


async def test_the_place_of_an_executor_that_was_killed_comes_back_with_its_lease(
    servers: dict[str, Any],
):
    async with holding(servers, {"concurrency": 1}, executors=0) as held:
        (first,) = await held.submit()
        connections = held.proxy.connections
        killed = Claims(
            connections.database,
            connections.commits,
            executor="killed",
            lease_seconds=3,
            claimable=Claimable("clients", {"create-client": "own"}, limited=["create-client"]),
            revision_wait_seconds=0,
        )

        async def is_claimed() -> None:
            assert await killed.claim(UUID(first)) is not None

        await eventually(is_claimed)
        (second,) = await held.submit(1, "second")
        await held.installation.executor()
        await asyncio.sleep(0.5)
        assert held.upstream.names == []
        for task_id in (first, second):
            assert (await finished_task(held.client, task_id))["status"] == "succeeded"
        assert held.upstream.most == 1


async def test_what_has_no_limits_does_not_wait_behind_what_has(servers: dict[str, Any]):
    async with holding(servers, {"concurrency": 1}, is_open=False) as held:
        await held.submit(50)
        await held.calls(1)
        calling = asyncio.create_task(
            held.client.post("/other", json={"name": "other"}, headers={"Prefer": "wait=30"})
        )
        await held.calls(2)
        held.upstream.gate.set()
        assert (await calling).status_code == 201


async def test_beyond_its_window_a_queues_backlog_waits_as_rows(servers: dict[str, Any]):
    async with holding(servers, {}, executors=0, queue_window=20) as held:

        async def is_full() -> None:
            await held.client.post("/other", json={}, headers=ASYNC)
            async with held.proxy.connections.database.read() as connection:
                unpublished = select(func.count()).where(~tasks.c.published)
                assert (await connection.scalar(unpublished) or 0) >= 30

        await eventually(is_full)
        count = (await held.statuses()).total()
        assert await held.proxy.connections.broker.count_ready("clients") < count
        await held.installation.executor()
        await held.all_succeeded(count)
