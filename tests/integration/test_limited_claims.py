"""What claims and ends make of limits: what they find, what they spend, whom they tell of room."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from asyncexecutor.misses import Miss, Misses
from asynctasks.instants import utc_now
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit_change import read_change
from asynctasks.operations.operation import Operation
from asynctasks.outcome import Outcome
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.claims import Claimable
from asynctasks.statements.limit_states import LimitStates
from asynctasks.statements.releases import HeldTasks
from asynctasks.statements.upkeep import Upkeep
from asynctasks.task import TaskStatus
from asynctestkit.eventually import eventually
from asynctestkit.inside import by_name, operation
from asynctestkit.releasing import (
    JOB,
    SUCCEEDED,
    MakeTask,
    OpenParts,
    add,
    bounded,
    claims_of,
    released,
    set_row,
)


async def test_a_task_with_limits_starts_only_when_it_was_released(parts: Any, new_task: MakeTask):
    create, free = bounded(concurrency=1), operation("other")
    claims = claims_of(parts, create, free)
    (first, second), (unbounded,) = (
        await add(parts, new_task, 2),
        await add(parts, new_task, operation="other"),
    )
    misses = Misses(parts.database, claims)
    assert await claims.claim(second) is None
    assert await misses.settle(second) is Miss.FORGET
    assert (await parts.store.find(second)).attempt == 0
    assert await claims.claim(unbounded) is not None
    await released(parts, create, free)
    assert await claims.claim(first) is not None
    assert await claims.claim(second) is None


async def test_whatever_ends_an_attempt_without_an_end_holds_its_task_again(
    parts: Any, new_task: MakeTask
):
    create = bounded(concurrency=1)
    claims = claims_of(parts, create)
    (task_id,) = await add(parts, new_task)

    async def started() -> ClaimedTask:
        assert await released(parts, create) == [task_id]
        claimed = await claims.claim(task_id)
        assert claimed is not None
        return claimed

    await claims.finish(await started(), Outcome(TaskStatus.QUEUED, retry_after_seconds=0))
    given_back = Outcome(TaskStatus.QUEUED, retry_after_seconds=0, is_given_back=True)
    await claims.finish(await started(), given_back)
    await started()
    await set_row(parts, task_id, lease_until=utc_now() - timedelta(seconds=1))
    await Upkeep(parts.database).return_dead([task_id])
    await claims.finish(await started(), Outcome(TaskStatus.FAILED))
    assert await released(parts, create) == []
    await parts.store.retry(task_id, more_attempts=1)
    assert await released(parts, create) == [task_id]
    await parts.store.hold([task_id])
    await started()


async def test_what_was_refused_for_a_pause_is_held_and_not_counted(parts: Any, new_task: MakeTask):
    create, states = operation(), LimitStates(parts.database)
    paused: list[str] = []
    claims = parts.claims(
        "one", claimable=Claimable("clients", {"create-client": "own"}, held=lambda: paused)
    )
    first, second = await add(parts, new_task, 2)
    assert await released(parts, create) == [first, second]
    await states.pause(PausedKind.OPERATION, "create-client", by="ann")
    paused.append("create-client")
    assert await claims.claim(first) is None
    assert await Misses(parts.database, claims).settle(first) is Miss.FORGET
    found = await parts.store.find(first)
    assert (found.published, found.attempt, found.version) == (False, 0, 1)
    assert await released(parts, create) == []
    await states.resume(PausedKind.OPERATION, "create-client")
    assert await released(parts, create) == [first]


async def test_the_rate_is_spent_at_the_claim(parts: Any, new_task: MakeTask):
    create = bounded(ratePerSecond=0.1, burst=3)
    claims = claims_of(parts, create)
    ids = await add(parts, new_task, 6)
    assert await released(parts, create) == ids[:3]
    assert await released(parts, create) == []  # they are about to spend it
    await asyncio.gather(*map(claims.claim, ids[:3]))
    assert await released(parts, create) == []
    standing = await LimitStates(parts.database).read([create])
    assert standing.states["crm"].allowed_in_seconds == pytest.approx(30, abs=2)
    held = HeldTasks(parts.database, grace_seconds=60)
    groups = await held.waiting(["clients"])
    more_in_seconds = (await held.release(groups, by_name([create]))).more_in_seconds
    assert more_in_seconds == pytest.approx(10, abs=2)


SLOW: dict[str, Any] = {"ratePerSecond": 0.001, "burst": 1}
FAST: dict[str, Any] = {"ratePerSecond": 5, "burst": 2}
PER_KEY: dict[str, Any] = {"fairBy": "tenant"}


async def start_all_that_may(parts: Any, new_task: MakeTask, create: Operation, of: int) -> None:
    """Spend what the operation's rate lets start at once, and have as many wait behind it."""
    ids = await add(parts, new_task, of + 3, fair_key="a")
    assert await released(parts, create) == ids[:of]
    await asyncio.gather(*map(claims_of(parts, create).claim, ids[:of]))
    assert await released(parts, create) == []


@pytest.mark.parametrize(
    ("slow", "fast"),
    [
        (bounded(**SLOW), bounded(**FAST)),
        (bounded(**PER_KEY, perKey=SLOW), bounded(**PER_KEY, perKey=FAST)),
    ],
    ids=["of all", "of each"],
)
async def test_a_rate_that_the_file_raised_holds_from_then_on(
    parts: Any, new_task: MakeTask, slow: Operation, fast: Operation
):
    await start_all_that_may(parts, new_task, slow, 1)
    began = time.monotonic()
    assert await released(parts, fast) == []
    started: list[object] = []

    async def the_others_start() -> None:
        released_now = await released(parts, fast)
        await asyncio.gather(*map(claims_of(parts, fast).claim, released_now))
        started.extend(released_now)
        assert len(started) == 3

    await eventually(the_others_start)
    assert time.monotonic() - began > 0.4  # three at five a second, and none of a burst before


async def test_a_rate_that_is_set_and_taken_back_holds_from_then_on(parts: Any, new_task: MakeTask):
    create, states = bounded(**FAST), LimitStates(parts.database)
    (limit,) = create.declared_limits
    await states.change(limit, read_change(SLOW))
    await start_all_that_may(parts, new_task, bounded(**SLOW), 1)
    await states.change(limit, read_change({"ratePerSecond": None, "burst": None}))
    assert len(await released(parts, create)) == 1  # of its two, one is spent


@pytest.mark.parametrize("given", [{"ratePerSecond": 0.1, "burst": 9}, {"ratePerSecond": 0.1}])
async def test_a_rate_that_is_lowered_gives_nobody_a_burst_anew(
    parts: Any, new_task: MakeTask, given: dict[str, Any]
):
    fast, states = bounded(ratePerSecond=1, burst=9), LimitStates(parts.database)
    await start_all_that_may(parts, new_task, fast, 9)
    (limit,) = fast.declared_limits
    await states.change(limit, read_change(given))
    standing = await states.read([fast])
    assert standing.states["crm"].allowed_in_seconds == pytest.approx(90, abs=20)


async def test_a_poll_is_no_start(parts: Any, new_task: MakeTask):
    create = bounded(ratePerSecond=0.1, burst=3)
    claims = claims_of(parts, create)
    (task_id,) = await add(parts, new_task)
    await released(parts, create)
    for _ in range(3):
        claimed = await claims.claim(task_id)
        goes_on = Outcome(TaskStatus.QUEUED, retry_after_seconds=0, upstream_job=JOB)
        await claims.finish(claimed, goes_on)
    standing = await LimitStates(parts.database).read([create])
    assert standing.states["crm"].allowed_in_seconds == pytest.approx(10, abs=2)


async def test_each_key_spends_its_own_rate(parts: Any, new_task: MakeTask):
    create = bounded(fairBy="tenant", perKey={"ratePerSecond": 0.1, "burst": 2})
    claims = claims_of(parts, create)
    by_key = {key: await add(parts, new_task, 3, fair_key=key) for key in ("a", "b")}
    first = await released(parts, create)
    assert sorted(first) == sorted(by_key["a"][:2] + by_key["b"][:2])
    await asyncio.gather(*map(claims.claim, first))
    assert await released(parts, create) == []
    (late,) = await add(parts, new_task, fair_key="c")
    assert await released(parts, create) == [late]


async def test_an_end_tells_of_room_where_others_wait_for_that(parts: Any, new_task: MakeTask):
    told: list[int] = []
    create, free = bounded(concurrency=2), operation("other")
    claims = claims_of(parts, create, free, on_room=lambda: told.append(1))
    ids = await add(parts, new_task, 3)
    (unbounded,) = await add(parts, new_task, operation="other")
    await released(parts, create, free)
    first, second = await claims.claim(ids[0]), await claims.claim(ids[1])
    other = await claims.claim(unbounded)
    await claims.finish(other, SUCCEEDED)
    assert told == []
    await claims.finish(first, SUCCEEDED)
    assert told == [1]
    await released(parts, create, free)
    await claims.finish(second, SUCCEEDED)
    assert told == [1]  # nothing waits any more


async def test_a_claim_that_waits_for_a_limit_keeps_no_release_from_its_keys(
    open_parts: OpenParts, postgresql_url: str, new_task: MakeTask
):
    """Both lock limits first and keys after that, or each could wait for the other."""
    rate: dict[str, Any] = {"ratePerSecond": 100, "burst": 100}
    create = bounded(**rate, fairBy="tenant", perKey=rate)
    async with open_parts(postgresql_url) as parts:
        first, second = await add(parts, new_task, 2, fair_key="a")
        claims = claims_of(parts, create)
        await released(parts, create)
        await claims.claim(first)
        async with parts.database.write() as connection:
            await connection.execute(text("SELECT 1 FROM limits FOR UPDATE"))
            claiming = asyncio.create_task(claims.claim(second))
            await _waits_for_a_lock(parts)
            await connection.execute(text("SELECT 1 FROM limit_keys FOR UPDATE NOWAIT"))
        assert await claiming is not None


async def _waits_for_a_lock(parts: Any) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    async def somebody_does() -> None:
        async with parts.database.read() as connection:
            assert await connection.scalar(waiting) == 1

    await eventually(somebody_does)
