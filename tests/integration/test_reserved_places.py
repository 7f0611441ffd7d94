"""Places under limits that a process reserves for the tasks it will add, on both databases."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from asynctasks.instants import utc_now
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit import Limit
from asynctasks.limits.limit_change import LimitChange
from asynctasks.operations.operation import Operation
from asynctasks.statements.conditions import tasks
from asynctasks.statements.limit_states import LimitStates
from asynctasks.statements.releases import HeldTasks
from asynctasks.statements.reserved_places import IDLE_SECONDS, Reservation, reserved
from asynctestkit.inside import by_name, operation
from asynctestkit.releasing import SUCCEEDED, MakeTask, add, bounded, claims_of, released

HOLDER = "proxy-1"


async def reserve(parts: Any, *operations: Operation, wanted: int = 100, by: str = HOLDER) -> int:
    """Places for the first of the operations."""
    reservation = Reservation(holder=by, operation=operations[0].name, fair_key="")
    held = HeldTasks(parts.database, grace_seconds=60)
    return await held.reserve(reservation, by_name(operations), wanted=wanted)


async def left(parts: Any) -> dict[str, int]:
    """By holder."""
    async with parts.database.read() as connection:
        rows = await connection.execute(select(reserved.c.holder, reserved.c.places))
        return {row.holder: row.places for row in rows}


async def published(parts: Any) -> set[UUID]:
    async with parts.database.read() as connection:
        rows = await connection.execute(select(tasks.c.id).where(tasks.c.published))
        return set(rows.scalars())


async def add_in_places(
    parts: Any, new_task: MakeTask, count: int, *, by: str = HOLDER, **values: Any
) -> list[UUID]:
    new = [new_task(place_of=by, publish_grace_seconds=60, **values) for _ in range(count)]
    return [added.id for added in await asyncio.gather(*map(parts.store.add, new))]


async def test_half_of_the_room_is_reserved_and_counts_as_in_hand(parts: Any, new_task: MakeTask):
    create, export = bounded(concurrency=10), bounded("export", concurrency=10)
    await add(parts, new_task, 2, operation="export")
    assert len(await released(parts, create, export)) == 2
    assert await reserve(parts, create, export) == 4
    assert await reserve(parts, create, export, by="proxy-2") == 2  # of the four that are left
    assert await reserve(parts, create, export, wanted=1) == 1  # in place of the four
    assert await left(parts) == {"proxy-1": 1, "proxy-2": 2}


async def test_a_task_in_a_place_is_published_and_one_without_is_held(
    parts: Any, new_task: MakeTask
):
    create = bounded(concurrency=10)
    assert await reserve(parts, create) == 5
    ids = await add_in_places(parts, new_task, 3)
    assert await published(parts) == set(ids)
    assert await left(parts) == {HOLDER: 2}
    async with parts.database.read() as connection:
        (due_at,) = set(await connection.scalars(select(tasks.c.next_publish_at).limit(1)))
    assert (due_at - utc_now()).total_seconds() == pytest.approx(60, abs=20)
    assert (await claims_of(parts, create).claim(ids[0])).id == ids[0]
    (held,) = await add_in_places(parts, new_task, 1, by="a stranger")
    assert held not in await published(parts)
    assert await released(parts, create) == [held]


@pytest.mark.parametrize("values", [{"idempotency_key": "k"}, {"coalescing_key": "c"}])
async def test_whatever_else_a_call_asks_for_it_takes_its_place(
    parts: Any, new_task: MakeTask, values: Any
):
    await reserve(parts, bounded(concurrency=10))
    (task_id,) = await add_in_places(parts, new_task, 1, **values)
    assert await published(parts) == {task_id}
    assert await left(parts) == {HOLDER: 4}


async def test_no_more_start_than_places_are_left(parts: Any, new_task: MakeTask):
    await reserve(parts, bounded(concurrency=10))
    for _ in range(4):
        await add_in_places(parts, new_task, 2)
    assert len(await published(parts)) == 4
    assert await left(parts) == {HOLDER: 1}


async def test_who_waits_is_let_go_in_the_places_of_others(parts: Any, new_task: MakeTask):
    create, export = bounded(concurrency=10), bounded("export", concurrency=10)
    await reserve(parts, create, export)
    await add_in_places(parts, new_task, 1)
    waiting = await add(parts, new_task, 5, operation="export")
    assert await released(parts, create, export) == waiting
    assert await left(parts) == {HOLDER: 4}  # there was room beside them
    late = await add(parts, new_task, 7, operation="export")
    assert await released(parts, create, export) == late[:4]
    assert await left(parts) == {}
    (held,) = await add_in_places(parts, new_task, 1)
    assert held not in await published(parts)
    assert await reserve(parts, create, export) == 0


async def test_places_that_would_help_nobody_are_left_alone(parts: Any, new_task: MakeTask):
    crm = Limit.model_validate({"name": "crm", "concurrency": 10})
    exports = Limit.model_validate({"name": "exports", "concurrency": 1})
    limits = {"crm": crm, "exports": exports}
    create = operation(limits=("crm",)).bounded_by(limits)
    full = operation("export", limits=("crm", "exports")).bounded_by(limits)
    assert await reserve(parts, create, full) == 5
    await add(parts, new_task, 2, operation="export")
    assert len(await released(parts, create, full)) == 1
    assert await left(parts) == {HOLDER: 5}


async def test_the_rate_is_kept_by_places_too(parts: Any, new_task: MakeTask):
    create = bounded(ratePerSecond=0.001, burst=10)
    assert await reserve(parts, create) == 5
    ids = await add_in_places(parts, new_task, 5)
    assert await reserve(parts, create) == 2  # five are about to spend
    for task_id in ids:
        await claims_of(parts, create).finish(
            await claims_of(parts, create).claim(task_id), SUCCEEDED
        )
    assert await reserve(parts, create) == 2  # and five have spent
    await add(parts, new_task, 9)
    assert len(await released(parts, create)) == 5


async def test_the_bounds_of_a_key_are_kept_by_places_too(parts: Any, new_task: MakeTask):
    create = bounded(concurrency=100, fairBy="tenant", perKey={"ratePerSecond": 0.001, "burst": 10})
    assert await reserve(parts, create) == 5
    for task_id in await add_in_places(parts, new_task, 5):
        await claims_of(parts, create).claim(task_id)
    assert await reserve(parts, create) == 2


@pytest.mark.parametrize("what", ["change", "pause", "breaker"])
async def test_what_changes_a_limit_takes_all_places_back(
    parts: Any, new_task: MakeTask, what: str
):
    create = bounded(concurrency=10, breaker={"failures": 1})
    (crm,) = create.declared_limits
    states = LimitStates(parts.database)
    assert await reserve(parts, create) == 5
    match what:
        case "change":
            await states.change(crm, LimitChange.model_validate({"concurrency": 1}))
        case "pause":
            await states.pause(PausedKind.OPERATION, create.name, by="")
        case _:
            await states.note_failure([crm], started_at=utc_now())
    assert await left(parts) == {}
    assert await reserve(parts, create) == 0


async def test_those_of_a_process_that_is_gone_are_forgotten(parts: Any, new_task: MakeTask):
    create = bounded(concurrency=10)
    await reserve(parts, create)
    await reserve(parts, create, by="proxy-2")
    async with parts.database.write() as connection:
        long_ago = utc_now() - timedelta(seconds=IDLE_SECONDS + 1)
        await connection.execute(
            update(reserved).where(reserved.c.holder == HOLDER).values(reserved_at=long_ago)
        )
    await HeldTasks(parts.database, grace_seconds=60).forget_reserved()
    assert await left(parts) == {"proxy-2": 2}


async def test_who_takes_places_back_counts_those_that_are_being_taken(
    postgresql_url: str, open_parts: Any, new_task: MakeTask
):
    """A task that is being added in a place is in hand before the place counts as free."""
    create, export = bounded(concurrency=10), bounded("export", concurrency=10)
    async with open_parts(postgresql_url) as parts:
        await reserve(parts, create, export)
        waiting = await add(parts, new_task, 9, operation="export")
        taken = text(
            "WITH taken AS (UPDATE reserved_places SET places = places - 3 RETURNING 1) "
            "UPDATE tasks SET published = TRUE WHERE id = :id AND (SELECT count(*) FROM taken) = 1"
        )
        async with parts.database.write() as connection:
            for task_id in waiting[:1]:
                await connection.execute(taken, {"id": task_id})
            releasing = asyncio.create_task(released(parts, create, export))
            await asyncio.sleep(0.5)
            assert not releasing.done()
        let_go = await releasing
    # One place of three was used: nine are free of ten, for the eight that are left.
    assert set(let_go) == set(waiting[1:])


async def test_a_row_that_is_added_twice_takes_no_second_task_along(parts: Any, new_task: MakeTask):
    """As a batch is whose connection broke after its commit."""
    create = bounded(concurrency=10)
    await reserve(parts, create)
    new = new_task(place_of=HOLDER, publish_grace_seconds=60)
    await parts.store.add(new)
    await parts.store.add(new)
    assert await published(parts) == {new.id}
