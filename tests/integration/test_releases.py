"""What a release lets go of what is held, and in which order, on both databases."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from asynctasks.instants import utc_now
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit_change import LimitChange
from asynctasks.outcome import Outcome
from asynctasks.statements.limit_states import LimitStates
from asynctasks.statements.releases import LEAST_WINDOW, HeldTasks, window_of
from asynctasks.statements.roster import Heartbeat, Roster
from asynctasks.statements.start_rates import limit_keys
from asynctasks.statements.upkeep import Upkeep
from asynctasks.task import TaskStatus
from asynctestkit.inside import operation
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


async def test_no_more_are_in_hand_of_a_limit_than_its_concurrency(parts: Any, new_task: MakeTask):
    create, export = bounded(concurrency=3), bounded("export", concurrency=3)
    claims = claims_of(parts, create, export)
    ids = await add(parts, new_task, 3) + await add(parts, new_task, 2, operation="export")
    assert await released(parts, create, export) == ids[:3]
    assert await released(parts, create, export) == []
    first, second = await claims.claim(ids[0]), await claims.claim(ids[1])
    assert await released(parts, create, export) == []  # two run, one has its message
    await claims.finish(first, SUCCEEDED)
    assert await released(parts, create, export) == ids[3:4]
    # Its attempt goes on with the job, and so does its place under the limit.
    goes_on = Outcome(TaskStatus.QUEUED, retry_after_seconds=60, upstream_job=JOB)
    await claims.finish(second, goes_on)
    assert await released(parts, create, export) == []
    await set_row(parts, ids[1], next_publish_at=utc_now() - timedelta(seconds=1))
    polls = await Upkeep(parts.database).take_due_polls(
        limit=10, again_in_seconds=60, late_seconds=0
    )
    assert [poll.id for poll in polls] == [ids[1]]
    assert await released(parts, create, export) == []


async def test_two_who_release_at_once_let_no_more_go_together(
    database_url: str, open_parts: OpenParts, new_task: MakeTask, monkeypatch: pytest.MonkeyPatch
):
    create, read, both_have_counted = bounded(concurrency=7), HeldTasks._with_tasks, asyncio.Event()
    counting = 0

    async def once_the_other_has_counted(*given: Any) -> Any:
        nonlocal counting
        counting += 1
        if counting == 1:
            # Which it does only where nothing keeps it from that.
            with suppress(TimeoutError):
                await asyncio.wait_for(both_have_counted.wait(), 0.5)
        else:
            both_have_counted.set()
        return await read(*given)

    async with open_parts(database_url) as one, open_parts(database_url) as other:
        await add(one, new_task)
        await released(one, create)  # so that the limit has a row
        await add(one, new_task, 30)
        monkeypatch.setattr(HeldTasks, "_with_tasks", once_the_other_has_counted)
        let_go = await asyncio.gather(*(released(parts, create) for parts in (one, other)))
        assert sorted(map(len, let_go)) == [0, 6]


async def test_one_whose_message_failed_keeps_its_place(parts: Any, new_task: MakeTask):
    create = bounded(concurrency=1)
    first, _ = await add(parts, new_task, 2)
    assert await released(parts, create) == [first]
    await HeldTasks(parts.database, grace_seconds=60).hold([first])
    assert await released(parts, create) == [first]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (PausedKind.QUEUE, "clients"),
        (PausedKind.OPERATION, "create-client"),
        (PausedKind.LIMIT, "crm"),
    ],
)
async def test_of_what_is_paused_nothing_is_released(
    parts: Any, new_task: MakeTask, kind: PausedKind, name: str
):
    create, free, states = bounded(), operation("other"), LimitStates(parts.database)
    (task_id,) = await add(parts, new_task)
    (other,) = await add(parts, new_task, operation="other")
    await states.pause(kind, name, by="")
    expected = [] if kind is PausedKind.QUEUE else [other]
    assert await released(parts, create, free) == expected
    await states.resume(kind, name)
    assert task_id in await released(parts, create, free)


async def test_who_is_ahead_is_remembered_from_release_to_release(parts: Any, new_task: MakeTask):
    create = bounded(concurrency=1, fairBy="tenant", weights={"a": 3})
    claims = claims_of(parts, create)
    ids = {
        task_id: key
        for key in ("a", "b")
        for task_id in await add(parts, new_task, 40, fair_key=key)
    }
    counted: Counter[str] = Counter()
    for _ in range(40):
        (task_id,) = await released(parts, create)
        await claims.finish(await claims.claim(task_id), SUCCEEDED)
        counted[ids[task_id]] += 1
    assert counted == {"a": pytest.approx(30, abs=1), "b": pytest.approx(10, abs=1)}


async def test_a_change_of_a_limit_holds_from_the_next_release_on(parts: Any, new_task: MakeTask):
    create, states = bounded(concurrency=1), LimitStates(parts.database)
    ids = await add(parts, new_task, 5)
    assert await released(parts, create) == ids[:1]
    (crm,) = create.declared_limits
    await states.change(crm, LimitChange.model_validate({"concurrency": 3}))
    assert await released(parts, create) == ids[1:3]
    await states.change(crm, LimitChange.model_validate({"concurrency": 2}))
    assert await released(parts, create) == []


async def test_a_queue_has_as_many_messages_as_its_window(parts: Any, new_task: MakeTask):
    ids = await add(parts, new_task, 5)
    held = HeldTasks(parts.database, grace_seconds=60, window=3)
    assert await held.full(["clients"]) == set()
    assert await released(parts, window=3) == ids[:3]
    assert await held.full(["clients", "others"]) == {"clients"}
    assert await released(parts, window=3) == []
    await claims_of(parts, operation()).claim(ids[0])
    assert await released(parts, window=3) == ids[3:4]


async def test_the_window_follows_what_executors_run_at_once(parts: Any, new_task: MakeTask):
    roster = Roster(parts.database)
    assert window_of(0, None) == LEAST_WINDOW
    for name, consuming in (("one", True), ("two", True), ("leaving", False)):
        await roster.beat(
            Heartbeat(
                name=name,
                queue="clients",
                pod=None,
                concurrency=60,
                running=0,
                consuming=consuming,
                idle_seconds=0,
            )
        )
    held = HeldTasks(parts.database, grace_seconds=60)
    async with parts.database.read() as connection:
        counts = await held._counts(connection, (), ["clients"])
    assert counts.queue_room("clients", None) == 1_200


async def test_what_is_not_known_here_or_not_due_stays_as_it_is(parts: Any, new_task: MakeTask):
    await add(parts, new_task, operation="unknown")
    await add(parts, new_task, publish_in_seconds=60, delay_seconds=60)
    await add(parts, new_task, queue="others")
    assert await released(parts, operation()) == []


async def test_turns_are_forgotten_of_those_who_are_ahead_of_nobody(parts: Any, new_task: MakeTask):
    create = bounded(concurrency=1, fairBy="tenant", weights={"b": 0.5, "c": 0.25})
    claims = claims_of(parts, create)
    for key in "abc":
        await add(parts, new_task, 3, fair_key=key)

    async def known() -> dict[str, float]:
        async with parts.database.read() as connection:
            rows = await connection.execute(select(limit_keys.c.key, limit_keys.c.turn))
            return dict(iter(rows))

    for _ in range(4):
        (task_id,) = await released(parts, create)
        await claims.finish(await claims.claim(task_id), SUCCEEDED)
    # Each had one, and then the one whose next turn is due first had a second.
    assert await known() == {"a": 2, "b": 2, "c": 4}
    held = HeldTasks(parts.database, grace_seconds=60)
    await held.forget_turns()
    assert await known() == {"a": 2, "b": 2, "c": 4}
    for _ in range(3):
        (task_id,) = await released(parts, create)
        await claims.finish(await claims.claim(task_id), SUCCEEDED)
    await held.forget_turns()
    # Then it was a's third, and the second and third of b, for all of whom c has waited.
    assert await known() == {"b": 6}
