"""When a process reserves places, and what it does where they are gone."""

import asyncio
from typing import Any

import pytest

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.new_task import NewTask
from asynctasks.reserved_places import (
    FEWEST_CALLS,
    MOST_KEYS,
    MOST_PLACES,
    REFUSED_SECONDS,
    ReservedPlaces,
)
from asynctasks.task import new_task_id
from asynctestkit.claimed import claimed_task
from asynctestkit.inside import by_name
from asynctestkit.releasing import bounded
from asynctestkit.virtual_time import in_virtual_time

CREATE = bounded(concurrency=1_000)


def new_task(fair_key: str = "") -> NewTask:
    return NewTask(
        id=new_task_id(),
        operation=CREATE.name,
        queue=CREATE.queue,
        fair_key=fair_key,
        arguments=None,
        sealed_arguments=None,
        max_attempts=1,
        created_at=claimed_task().attempt_started_at,
        published=False,
        publish_in_seconds=0.0,
        publish_grace_seconds=60.0,
    )


class Held:
    """Room for so many, of which half is given."""

    def __init__(self) -> None:
        self.room: float = 1_000
        self.wanted: list[int] = []
        self.answers: asyncio.Event | None = None
        self.is_away = False

    async def reserve(self, reservation: Any, operations: Any, *, wanted: int) -> int:
        assert operations[reservation.operation] is CREATE
        self.wanted.append(wanted)
        if self.answers is not None:
            await self.answers.wait()
        if self.is_away:
            raise DatabaseUnavailableError
        return min(wanted, int(self.room // 2))


class Process:
    def __init__(self, held: Any) -> None:
        self.places = ReservedPlaces(held, LiveOperations(by_name([CREATE])))

    async def call(
        self,
        *,
        is_there: bool = True,
        is_stored: bool = True,
        fair_key: str = "",
        after: float = 0.01,
    ) -> bool:
        """Whether the call had a place, which is still there or not when it is added."""
        await asyncio.sleep(after)
        task = new_task(fair_key)
        self.places.take(CREATE, task)
        had_one = task.place_of is not None
        await asyncio.sleep(0)
        if had_one and is_stored:
            task.start_at_once(has_place=is_there)
        self.places.settle(task, is_stored=is_stored)
        return had_one


@in_virtual_time
async def test_who_is_called_often_has_places_for_the_next_two_seconds():
    held = Held()
    process = Process(held)
    async with process.places:
        had = [await process.call() for _ in range(400)]
    assert had[:FEWEST_CALLS] == [False] * FEWEST_CALLS
    assert had[FEWEST_CALLS:] == [True] * (400 - FEWEST_CALLS)
    # At a hundred a second, and more again when a quarter of them is left.
    assert held.wanted[1:] == [pytest.approx(200, rel=0.1)] * (len(held.wanted) - 1)
    assert 3 <= len(held.wanted) <= 4


@in_virtual_time
async def test_who_is_called_now_and_then_reserves_nothing():
    held = Held()
    process = Process(held)
    async with process.places:
        assert not any([await process.call(after=1.5) for _ in range(20)])
    assert held.wanted == []


@in_virtual_time
async def test_a_flood_reserves_no_more_than_the_most():
    held = Held()
    held.room = 10_000
    process = Process(held)
    async with process.places:
        for _ in range(200):
            await process.call(after=0.0001)
    assert max(held.wanted) == MOST_PLACES
    assert len(held.wanted) == 2


@in_virtual_time
async def test_where_there_is_no_room_it_is_asked_again_a_second_later():
    held = Held()
    held.room = 0
    process = Process(held)
    async with process.places:
        assert not any([await process.call() for _ in range(250)])
    assert len(held.wanted) == pytest.approx(2.5 / REFUSED_SECONDS, abs=1)


@in_virtual_time
async def test_where_places_were_taken_back_no_more_is_taken_of_them():
    held = Held()
    process = Process(held)
    async with process.places:
        while not await process.call():
            pass
        held.room = 0
        assert await process.call(is_there=False)
        assert not any([await process.call() for _ in range(50)])


@in_virtual_time
async def test_a_task_that_was_refused_says_nothing_of_the_places():
    held = Held()
    process = Process(held)
    async with process.places:
        while not await process.call():
            pass
        for _ in range(10):
            assert await process.call(is_stored=False)
    assert len(held.wanted) == 1


@in_virtual_time
async def test_the_database_being_away_costs_the_places_and_no_more(capsys: Any):
    held = Held()
    held.is_away = True
    process = Process(held)
    async with process.places:
        assert not any([await process.call() for _ in range(50)])
        held.is_away = False
        await asyncio.sleep(REFUSED_SECONDS)
        assert any([await process.call() for _ in range(20)])


@in_virtual_time
async def test_it_asks_once_at_a_time_and_ends_with_what_is_under_way():
    held = Held()
    held.answers = asyncio.Event()
    process = Process(held)
    async with process.places:
        for _ in range(50):
            await process.call()
        assert len(held.wanted) == 1
        held.answers.set()
    assert not process.places._asking


@in_virtual_time
async def test_only_so_many_keys_are_known_and_idle_ones_make_room():
    held = Held()
    process = Process(held)
    async with process.places:
        for number in range(MOST_KEYS):
            await process.call(fair_key=f"tenant {number}", after=0)
        assert not any([await process.call(fair_key="late") for _ in range(20)])
        await asyncio.sleep(2)
        assert any([await process.call(fair_key="late") for _ in range(20)])
