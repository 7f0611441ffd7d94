"""Limits and pauses in their tables: how they stand, and what is set of them."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from asynctasks.errors import LimitInvalidError
from asynctasks.instants import utc_now
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit import Breaker, Limit
from asynctasks.limits.limit_change import read_change
from asynctasks.limits.limit_state import BreakerKind, BreakerState, LimitState
from asynctasks.operations.new_task import NewTask
from asynctasks.operations.operation import Operation
from asynctasks.statements.claims import Claimable
from asynctasks.statements.limit_states import LimitStates, limits, lock_and_read
from asynctestkit.inside import operation

CRM = Limit(name="crm", concurrency=40, breaker=Breaker(failures=2))
OCR = Limit.model_validate({"name": "ocr", "ratePerSecond": 2.5, "burst": 5})


CLAIMABLE = Claimable("clients", dict.fromkeys(("create-client", "crm-only", "free"), "own"))


def bounded(*declared: Limit, name: str = "create-client") -> Operation:
    names = [limit.name for limit in declared]
    return operation(name, limits=names).bounded_by({limit.name: limit for limit in declared})


@pytest.fixture
def states(parts: Any) -> LimitStates:
    return LimitStates(parts.database)


async def only(states: LimitStates, limit: Limit = CRM) -> LimitState:
    return (await states.read([bounded(limit)])).states[limit.name]


async def given(parts: Any, **values: Any) -> None:
    async with parts.database.write() as connection:
        await connection.execute(insert(limits).values(name="crm", **values))


async def test_a_limit_that_nobody_has_touched_stands_as_declared(states: LimitStates):
    standing = await states.read([bounded(CRM, OCR), operation("free")])
    assert standing.states == {
        limit.name: LimitState(limit=limit, declared=limit) for limit in (CRM, OCR)
    }
    assert standing.states["crm"].breaker.most_at_once is None
    assert standing.pauses.by_name == {}


async def test_what_was_set_holds_in_place_of_the_files_until_it_is_taken_back(
    states: LimitStates,
):
    await states.change(CRM, read_change({"concurrency": 5}))
    await states.change(OCR, read_change({"ratePerSecond": 1, "burst": 7}))
    standing = await states.read([bounded(CRM, OCR)])
    assert standing.states["crm"].limit == CRM.model_copy(update={"concurrency": 5})
    assert standing.states["crm"].declared == CRM
    ocr = standing.states["ocr"].limit
    assert (ocr.rate_per_second, ocr.burst, ocr.concurrency) == (1, 7, None)
    await states.change(OCR, read_change({"ratePerSecond": None, "concurrency": 2}))
    changed = await only(states, OCR)
    assert changed.changed == {"burst": 7, "concurrency": 2}
    assert (changed.limit.rate_per_second, changed.limit.burst) == (2.5, 7)
    await states.change(CRM, read_change({"concurrency": None}))
    crm = await only(states)
    assert (crm.limit, crm.changed) == (CRM, {})


async def test_a_change_that_makes_no_sense_changes_nothing(states: LimitStates):
    await states.change(CRM, read_change({"concurrency": 5}))
    with pytest.raises(LimitInvalidError, match="goes with a rate"):
        await states.change(CRM, read_change({"concurrency": 7, "burst": 7}))
    assert (await only(states)).changed == {"concurrency": 5}


async def test_of_changes_at_the_same_time_none_is_lost(states: LimitStates):
    await asyncio.gather(
        states.change(OCR, read_change({"concurrency": 5})),
        states.change(OCR, read_change({"ratePerSecond": 1})),
        states.change(OCR, read_change({"burst": 7})),
    )
    ocr = await only(states, OCR)
    assert ocr.changed == {"concurrency": 5, "ratePerSecond": 1, "burst": 7}


async def test_times_are_told_from_now_by_the_clock_of_the_database(
    parts: Any, states: LimitStates
):
    now = utc_now()
    await given(
        parts,
        allowed_at=now + timedelta(seconds=90),
        turn=2.5,
        failures=4,
        failing_since=now - timedelta(seconds=50),
        opened_at=now,
        open_until=now + timedelta(seconds=70),
        openings=2,
    )
    state = await only(states)
    assert state.allowed_in_seconds == pytest.approx(90, abs=10)
    assert state.turn == 2.5
    breaker = state.breaker
    assert (breaker.kind, breaker.failures, breaker.openings) == (BreakerKind.OPEN, 4, 2)
    assert breaker.opened_at == now
    assert breaker.failing_seconds == pytest.approx(50, abs=10)
    assert breaker.open_for_seconds == pytest.approx(70, abs=10)


async def test_a_limit_whose_breaker_left_the_file_is_closed(parts: Any, states: LimitStates):
    await given(parts, opened_at=utc_now(), open_until=utc_now() + timedelta(days=1))
    assert (await only(states)).breaker.most_at_once == 0
    without = Limit(name="crm", concurrency=40)
    assert (await only(states, without)).breaker == BreakerState()


async def test_an_open_breaker_lets_one_through_when_its_time_has_passed_and_more_as_it_recovers(
    parts: Any, states: LimitStates
):
    await given(parts, opened_at=utc_now(), open_until=utc_now() - timedelta(days=1))
    assert (await only(states)).breaker.most_at_once == 1
    async with parts.database.write() as connection:
        await connection.execute(limits.update().values(opened_at=None, successes=3))
    assert (await only(states)).breaker.most_at_once == 4


async def test_a_pause_is_known_by_what_it_stops_since_when_and_by_whom(states: LimitStates):
    assert await states.pause(PausedKind.QUEUE, "clients", by="ann") is True
    assert await states.pause(PausedKind.OPERATION, "scan", by="") is True
    pauses = (await states.read([])).pauses
    queue = pauses.of(PausedKind.QUEUE, "clients")
    assert queue is not None
    assert queue.paused_by == "ann"
    assert abs(utc_now() - queue.paused_at) < timedelta(seconds=10)
    assert pauses.of_tasks(queue="clients", operation="any") is queue
    assert pauses.of_tasks(queue="other", operation="scan") is not None
    assert pauses.of_tasks(queue="other", operation="clients") is None
    assert pauses.of(PausedKind.LIMIT, "clients") is None


async def test_the_first_to_pause_is_kept_and_anyone_resumes_or_only_who_did_it(
    states: LimitStates,
):
    limit = (PausedKind.LIMIT, "crm")
    await states.pause(*limit, by="ann")
    assert await states.pause(*limit, by="bob") is False
    state = await only(states)
    assert state.paused
    assert await states.resume(*limit, paused_by="bob") is False
    assert await states.resume(*limit, paused_by="ann") is True
    await states.pause(*limit, by="ann")
    assert await states.resume(*limit) is True
    assert await states.resume(*limit) is False
    assert not (await only(states)).paused


async def test_who_locks_the_limits_reads_them_alone(parts: Any, states: LimitStates):
    await states.change(OCR, read_change({"burst": 7}))
    await states.pause(PausedKind.LIMIT, "crm", by="ann")
    async with parts.database.write() as connection:
        standing = await lock_and_read(connection, {"ocr": OCR, "crm": CRM})
        assert standing.states["crm"].paused
        assert standing.states["ocr"].limit.burst == 7
        await connection.execute(limits.update().values(turn=1.0))
    # Both have a row from then on, which others can lock.
    standing = await states.read([bounded(CRM, OCR)])
    assert [state.turn for state in standing.states.values()] == [1.0, 1.0]


async def test_with_no_limits_pauses_are_read_alone(parts: Any, states: LimitStates):
    await states.pause(PausedKind.QUEUE, "clients", by="")
    async with parts.database.write() as connection:
        standing = await lock_and_read(connection, {})
    assert standing.states == {}
    assert standing.pauses.of(PausedKind.QUEUE, "clients") is not None


async def test_failures_in_a_row_open_it_and_a_probe_s_end_decides_what_follows(
    parts: Any, states: LimitStates
):
    async def failed() -> BreakerState:
        noted = await states.note_failure([CRM, OCR], started_at=utc_now())
        assert list(noted) == ["crm"]
        told, read = noted["crm"].breaker, (await only(states)).breaker
        assert (told.kind, told.failures) == (read.kind, read.failures)
        return read

    async def time_passes() -> None:
        long_ago = utc_now() - timedelta(seconds=1)
        async with parts.database.write() as connection:
            await connection.execute(limits.update().values(open_until=long_ago))

    assert (await failed()).kind is BreakerKind.CLOSED
    first = await failed()
    assert (first.kind, first.most_at_once) == (BreakerKind.OPEN, 0)
    assert first.open_for_seconds == pytest.approx(5, abs=3)
    await time_passes()
    second = await failed()
    assert second.open_for_seconds == pytest.approx(10, abs=3)
    assert second.opened_at == first.opened_at
    await time_passes()
    noted = await states.note_success([CRM], started_at=utc_now())
    assert noted["crm"].breaker.most_at_once == 2
    noted = await states.note_success([CRM], started_at=utc_now())
    assert noted["crm"].breaker == BreakerState() == (await only(states)).breaker


async def test_what_began_before_the_probes_closes_nothing(parts: Any, states: LimitStates):
    await given(parts, opened_at=utc_now(), open_until=utc_now() - timedelta(seconds=30))
    long_ago = utc_now() - timedelta(seconds=60)
    noted = await states.note_success([CRM], started_at=long_ago)
    assert noted["crm"].breaker.kind is BreakerKind.OPEN
    noted = await states.note_success([CRM], started_at=utc_now() - timedelta(seconds=10))
    assert noted["crm"].breaker.kind is BreakerKind.RECOVERING


async def test_an_open_breaker_waits_no_longer_than_the_file_now_lets_it(
    parts: Any, states: LimitStates
):
    await given(parts, failures=1, opened_at=utc_now(), openings=3)
    soon, late = utc_now() + timedelta(seconds=30), utc_now() + timedelta(seconds=500)
    for until, longest, expected in (
        (late, 3_600, 500),
        (late, 100, 100),
        (soon, 100, 30),
    ):
        async with parts.database.write() as connection:
            await connection.execute(limits.update().values(open_until=until))
        breaker = Breaker.model_validate({"openSeconds": [2, longest]})
        crm = CRM.model_copy(update={"breaker": breaker})
        await states.follow_file([bounded(crm)])
        state = (await only(states, crm)).breaker
        assert (state.kind, state.failures, state.openings) == (BreakerKind.OPEN, 1, 3)
        assert state.open_for_seconds == pytest.approx(expected, abs=10)


@pytest.mark.parametrize(
    "values",
    [
        {"failures": 4, "failing_since": utc_now()},
        {"failures": 4, "opened_at": utc_now(), "open_until": utc_now() + timedelta(days=1)},
        {"successes": 3, "open_until": utc_now() - timedelta(days=1)},
    ],
)
@pytest.mark.parametrize("operations", [[bounded(CRM.model_copy(update={"breaker": None}))], []])
async def test_of_a_breaker_that_left_the_file_nothing_stays(
    parts: Any, states: LimitStates, values: Any, operations: list[Operation]
):
    await given(parts, turn=2.5, **values)
    await states.follow_file([bounded(CRM)])
    assert (await only(states)).breaker != BreakerState()
    await states.follow_file(operations)
    state = await only(states)
    assert (state.breaker, state.turn) == (BreakerState(), 2.5)


async def test_failures_noted_at_once_are_all_counted(states: LimitStates):
    patient = CRM.model_copy(
        update={"breaker": Breaker.model_validate({"failures": 10, "withinSeconds": 100})}
    )
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(states.note_failure([patient], started_at=utc_now()))
    assert (await only(states, patient)).breaker.failures == 8


async def test_what_runs_is_counted_by_limit_and_by_key(
    parts: Any, states: LimitStates, new_task: Callable[..., NewTask]
):
    async def running(name: str, key: str) -> None:
        task_id = await parts.add(new_task(operation=name, fair_key=key))
        claimed = await parts.claims("one", claimable=CLAIMABLE).claim(task_id)
        assert claimed is not None

    both, crm, free = bounded(CRM, OCR), bounded(CRM, name="crm-only"), operation("free")
    for name, key in (
        ("create-client", "a"),
        ("create-client", "b"),
        ("crm-only", "a"),
        ("free", "a"),
    ):
        await running(name, key)
    await parts.add(new_task(fair_key="waits"))
    standing = await states.read_with_running([both, crm, free])
    assert standing.running == {"crm": {"a": 2, "b": 1}, "ocr": {"a": 1, "b": 1}}
    assert (await states.read([both, crm, free])).running == {}
