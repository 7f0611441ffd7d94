"""How many writes the API server gets."""

import asyncio

import pytest

from asyncoperator.mirror.write_budget import IN_FLIGHT, WriteBudget
from asynctestkit.eventually import eventually


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> WriteBudget:
    return WriteBudget(per_second=20, burst=40, clock=clock)


async def spend(budget: WriteBudget, writes: int) -> None:
    for _ in range(writes):
        async with budget.write():
            pass


async def test_a_burst_and_then_so_many_a_second(budget: WriteBudget, clock: Clock):
    assert budget.available == 40
    await spend(budget, 40)
    assert budget.available == 0
    clock.now += 1
    assert budget.available == 20
    clock.now += 60
    assert budget.available == 40


async def test_throttled_it_waits_as_long_as_asked_and_recovers_from_half_the_rate(
    budget: WriteBudget, clock: Clock
):
    budget.throttled(5)
    budget.throttled(5)  # of a write that was in flight: no second halving
    clock.now += 4.9
    assert budget.available == 0
    clock.now += 1.1
    assert budget.available == 10
    await spend(budget, 10)
    clock.now += 1
    assert budget.available == 11
    await spend(budget, 11)
    clock.now += 60
    await spend(budget, 40)
    clock.now += 1
    assert budget.available == 20


async def test_however_often_throttled_it_never_stops(budget: WriteBudget, clock: Clock):
    for _ in range(20):
        budget.throttled(0.5)
        clock.now += 0.5
    assert budget.available == 0
    clock.now += 1
    assert budget.available >= 1


async def test_so_many_at_a_time(budget: WriteBudget):
    running = 0
    release = asyncio.Event()

    async def write() -> None:
        nonlocal running
        async with budget.write():
            running += 1
            await release.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT + 3):
            tasks.create_task(write())

        def assert_full() -> None:
            assert running == IN_FLIGHT

        await eventually(assert_full)
        release.set()
    assert running == IN_FLIGHT + 3
