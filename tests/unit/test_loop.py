"""A loop ticks, waits for what is away, and tells when it has stopped."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from asynctasks.errors import BrokerUnavailableError, DatabaseUnavailableError
from asynctasks.loop import LONGEST_PAUSE_SECONDS, STUCK_SECONDS, Loop, fault_of
from asynctestkit.eventually import eventually


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Ticks:
    """Answers each tick by what it is given, and from then on that there is no more to do."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.count = 0
        self.on_tick: Callable[[], None] = lambda: None

    async def __call__(self) -> bool:
        self.count += 1
        self.on_tick()
        answer = self.answers.pop(0) if self.answers else False
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def reach(self, count: int) -> None:
        def reached() -> None:
            assert self.count >= count

        await eventually(reached)


@asynccontextmanager
async def running(loop: Loop) -> AsyncGenerator[None]:
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def pauses(ticks: Ticks, count: int, **given: Any) -> list[float]:
    """How long the loop means to pause after each of its first ticks."""
    loop = Loop("one", ticks, interval_seconds=5, **given)
    return [pause for _ in range(count) if (pause := await loop._tick_once()) is not None]


async def test_it_ticks_at_once_while_there_is_more_and_then_after_its_interval():
    assert await pauses(Ticks(True, True, False), 3) == [0, 0, 5]


async def test_ticks_that_take_long_are_followed_by_pauses_as_long_as_their_share_asks():
    clock, ticks = Clock(), Ticks()

    def take_a_second() -> None:
        clock.now += 1

    ticks.on_tick = take_a_second
    assert await pauses(ticks, 1, clock=clock, largest_share=0.125) == [pytest.approx(7)]
    assert await pauses(ticks, 1, clock=clock, largest_share=0.5) == [5]
    assert await pauses(ticks, 1, clock=clock, largest_share=0.01) == [LONGEST_PAUSE_SECONDS]
    bound = {"largest_share": 0.01, "longest_pause_seconds": 6}
    assert await pauses(ticks, 1, clock=clock, **bound) == [6]


async def test_a_poke_wakes_it_and_one_during_a_tick_is_not_lost():
    ticks = Ticks()
    loop = Loop("one", ticks, interval_seconds=None)
    async with running(loop):
        await ticks.reach(1)
        loop.poke()
        await ticks.reach(2)
        ticks.on_tick = lambda: loop.poke() if ticks.count == 3 else None
        loop.poke()
        await ticks.reach(4)
        for _ in range(5):
            await asyncio.sleep(0)
        assert ticks.count == 4


async def test_told_to_end_it_ends_after_the_tick_under_way():
    ticks = Ticks(True)
    loop = Loop("one", ticks, interval_seconds=60)
    ticks.on_tick = loop.end
    await asyncio.wait_for(loop.run(), 5)
    assert ticks.count == 1
    assert loop.fault is None


async def test_what_is_away_is_waited_for_and_told_once_until_it_is_back():
    away = DatabaseUnavailableError("It is away")
    ticks = Ticks(away, away, BrokerUnavailableError("So is this"), False, away)
    loop = Loop("one", ticks, interval_seconds=0.001)
    with capture_logs() as logs:
        async with running(loop):
            await ticks.reach(6)
    told = [(line["event"], line.get("reason")) for line in logs]
    assert told[:4] == [
        ("loop waits", "It is away"),
        ("loop waits", "So is this"),
        ("loop goes on", None),
        ("loop waits", "It is away"),
    ]
    assert {line["loop"] for line in logs} == {"one"}


async def test_how_long_it_waits_may_depend_on_what_is_away_and_for_how_long():
    away = DatabaseUnavailableError()
    ticks = Ticks(away, away, False, away)

    def ten_more_each_time(_: Exception, failures: int) -> float:
        return 10.0 * failures

    assert await pauses(ticks, 4, pause_after=ten_more_each_time) == [10, 20, 5, 10]


async def test_an_error_that_it_does_not_wait_for_ends_it():
    for error, waits_for in (
        (ZeroDivisionError(), (DatabaseUnavailableError,)),
        (DatabaseUnavailableError(), ()),
    ):
        loop = Loop("one", Ticks(error), interval_seconds=1, waits_for=waits_for)
        with pytest.raises(type(error)):
            await loop.run()


async def test_a_tick_that_hangs_is_a_fault_and_tells_for_how_long():
    clock, hangs = Clock(), asyncio.Event()

    async def tick() -> None:
        await hangs.wait()

    loop = Loop("one", tick, interval_seconds=1, clock=clock)
    clock.now += 10 * STUCK_SECONDS
    assert loop.fault is None  # it has not begun
    async with running(loop):
        await asyncio.sleep(0)
        clock.now += STUCK_SECONDS - 1
        assert loop.fault is None
        clock.now += 1
        assert loop.fault == "one has finished no tick for 120 s"
        assert fault_of([Loop("other", tick, interval_seconds=1), loop]) == loop.fault
        hangs.set()

        def is_well() -> None:
            assert fault_of([loop]) is None

        await eventually(is_well)


async def test_neither_a_long_interval_nor_what_is_away_is_a_fault():
    clock = Clock()
    ticks = Ticks(DatabaseUnavailableError(), False)
    loop = Loop("one", ticks, interval_seconds=3_600, clock=clock)
    async with running(loop):
        await ticks.reach(1)
        await asyncio.sleep(0)
        clock.now += 3_600
        assert loop.fault is None
        clock.now += STUCK_SECONDS
        assert loop.fault is not None  # nothing has woken it


async def test_a_loop_that_waits_for_a_poke_is_well_however_long_until_it_hangs():
    clock, hang, ticked = Clock(), asyncio.Event(), 0

    async def tick() -> None:
        nonlocal ticked
        ticked += 1
        if ticked == 2:
            await hang.wait()

    loop = Loop("one", tick, interval_seconds=None, clock=clock)
    async with running(loop):
        await asyncio.sleep(0)
        clock.now += 10 * STUCK_SECONDS
        assert loop.fault is None
        loop.poke()
        clock.now += STUCK_SECONDS
        assert loop.fault is not None


async def test_a_loop_that_died_is_a_fault_though_its_process_lives():
    clock = Clock()
    loop = Loop("one", Ticks(ZeroDivisionError()), interval_seconds=1, clock=clock)
    with pytest.raises(ZeroDivisionError):
        await loop.run()
    clock.now += STUCK_SECONDS
    assert loop.fault is not None
