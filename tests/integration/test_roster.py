"""The roster: who consumes a queue, how busy each is, and who is to drain."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from asynctasks.instants import utc_now
from asynctasks.statements.roster import Executor, Heartbeat, Roster, executors
from asynctestkit.eventually import eventually


def heartbeat(name: str = "one", **values: Any) -> Heartbeat:
    defaults: dict[str, Any] = {
        "queue": "clients",
        "pod": None,
        "concurrency": 4,
        "running": 0,
        "consuming": True,
        "idle_seconds": 0.0,
    }
    return Heartbeat(name=name, **{**defaults, **values})


@pytest.fixture
def roster(parts: Any) -> Roster:
    return Roster(parts.database)


async def only(roster: Roster) -> Executor:
    (executor,) = await roster.of_queue("clients")
    return executor


async def test_an_executor_is_known_by_what_it_reported_last(roster: Roster):
    assert await roster.beat(heartbeat(pod="pod-1", running=3, idle_seconds=None)) is False
    busy = await only(roster)
    assert (busy.name, busy.pod, busy.concurrency, busy.running) == ("one", "pod-1", 4, 3)
    assert (busy.consuming, busy.draining, busy.idle_seconds) == (True, False, None)
    assert 0 <= busy.age_seconds < 10
    assert await roster.beat(heartbeat(pod="pod-1", idle_seconds=90)) is False
    idle = await only(roster)
    assert idle.running == 0
    assert 90 <= (idle.idle_seconds or 0) < 100


async def test_the_executors_of_a_queue_are_its_own(roster: Roster):
    for name, queue in (("b", "clients"), ("a", "clients"), ("c", "orders")):
        await roster.beat(heartbeat(name, queue=queue))
    assert [executor.name for executor in await roster.of_queue("clients")] == ["a", "b"]
    assert [executor.name for executor in await roster.of_queue("orders")] == ["c"]
    assert await roster.of_queue("nobody") == []


async def test_a_queue_is_consumed_while_an_executor_takes_its_tasks_and_says_so(
    parts: Any, roster: Roster
):
    assert await roster.consumers(90) == {}
    for name, queue in (("a", "clients"), ("b", "clients"), ("c", "orders"), ("d", "reports")):
        await roster.beat(heartbeat(name, queue=queue))
    assert await roster.consumers(90) == {"clients": 2, "orders": 1, "reports": 1}
    await roster.beat(heartbeat("c", queue="orders", consuming=False))
    long_ago = utc_now() - timedelta(seconds=100)
    async with parts.database.write() as connection:
        gone = executors.c.name.in_(["a", "d"])
        await connection.execute(update(executors).where(gone).values(seen_at=long_ago))
    assert await roster.consumers(90) == {"clients": 1}
    assert await roster.consumers(110) == {"clients": 2, "reports": 1}


async def test_a_report_is_told_to_drain_until_told_otherwise(roster: Roster):
    for name in ("one", "two"):
        await roster.beat(heartbeat(name))
    await roster.set_draining(["one", "gone"], True)
    assert [await roster.beat(heartbeat(name)) for name in ("one", "two")] == [True, False]
    assert await roster.beat(heartbeat("one", consuming=False)) is True
    one, two = await roster.of_queue("clients")
    assert (one.has_drained, two.has_drained) == (True, False)
    await roster.set_draining(["one"], False)
    assert await roster.beat(heartbeat("one", consuming=False)) is False
    await roster.set_draining([], True)


async def test_who_holds_a_task_has_not_drained(roster: Roster):
    await roster.beat(heartbeat())
    await roster.set_draining(["one"], True)
    await roster.beat(heartbeat(consuming=False, running=1, idle_seconds=None))
    assert not (await only(roster)).has_drained


async def test_one_that_leaves_is_forgotten_and_so_are_the_long_unseen(roster: Roster, parts: Any):
    for name in ("left", "silent", "alive"):
        await roster.beat(heartbeat(name))
    await roster.leave("left")
    async with parts.database.write() as connection:
        await connection.execute(
            update(executors)
            .where(executors.c.name == "silent")
            .values(seen_at=utc_now() - timedelta(hours=2))
        )
    silent = (await roster.of_queue("clients"))[1]
    assert 7_190 < silent.age_seconds < 7_260
    assert await roster.forget(older_than_seconds=3_600) == 1
    assert [executor.name for executor in await roster.of_queue("clients")] == ["alive"]
    assert await roster.beat(heartbeat("silent")) is False


async def test_reports_change_no_index(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]], postgresql_url: str
):
    """Each stays beside its row (HOT), so that the table never grows by being kept up to date."""
    names = [f"executor-{number}" for number in range(20)]
    async with open_parts(postgresql_url) as parts:
        roster = Roster(parts.database)
        for second in range(50):
            for name in names:
                await roster.beat(heartbeat(name, running=second % 3, idle_seconds=None))

        async def counted() -> None:
            async with parts.database.read() as connection:
                row = (await connection.execute(text(_UPDATES))).one()
            assert row.updates >= len(names) * 49
            assert row.hot >= 0.9 * row.updates
            assert row.bytes <= 65_536

        await eventually(counted)  # the statistics come with a delay


_UPDATES = """
SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot, pg_relation_size('executors') AS bytes
FROM pg_stat_user_tables WHERE relname = 'executors'
"""
