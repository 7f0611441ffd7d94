"""What is asked for in one turn of the event loop is done together, and nobody is left waiting."""

import asyncio
from collections.abc import Sequence

import pytest

from asynctasks.broker.coalescer import Coalescer


class Doer:
    """Notes what it is given at a time; refuses 13."""

    def __init__(self) -> None:
        self.done: list[list[int]] = []
        self.begun = asyncio.Queue[list[int]]()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def __call__(self, items: Sequence[int]) -> None:
        self.done.append(list(items))
        self.begun.put_nowait(list(items))
        await self.may_go_on.wait()
        if 13 in items:
            raise ValueError(13)


async def test_items_of_one_turn_are_done_together_and_later_ones_after_them():
    doer = Doer()
    async with asyncio.TaskGroup() as tasks:
        coalescer = Coalescer(tasks, doer)
        await asyncio.gather(*map(coalescer.add, range(5)))
        await coalescer.add(5)
        await coalescer.add(6)
    assert doer.done == [[0, 1, 2, 3, 4], [5], [6]]


async def test_an_item_that_comes_while_others_are_being_done_does_not_wait_for_them():
    doer = Doer()
    doer.may_go_on.clear()
    async with asyncio.TaskGroup() as tasks:
        coalescer = Coalescer(tasks, doer)
        adding = [tasks.create_task(coalescer.add(n)) for n in (1, 2)]
        assert await doer.begun.get() == [1, 2]
        adding.append(tasks.create_task(coalescer.add(3)))
        assert await doer.begun.get() == [3]
        assert not any(one.done() for one in adding)
        doer.may_go_on.set()


async def test_a_caller_that_is_cancelled_takes_nothing_from_the_others():
    doer = Doer()
    async with asyncio.TaskGroup() as tasks:
        coalescer = Coalescer(tasks, doer)
        first, second = (asyncio.create_task(coalescer.add(n)) for n in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
    assert doer.done == [[1, 2]]


async def test_an_error_reaches_those_who_asked_and_nobody_else():
    doer = Doer()
    async with asyncio.TaskGroup() as tasks:
        coalescer = Coalescer(tasks, doer)
        results = await asyncio.gather(*map(coalescer.add, (12, 13)), return_exceptions=True)
        assert [type(result) for result in results] == [ValueError, ValueError]
        await coalescer.add(14)
    assert doer.done == [[12, 13], [14]]


async def test_nobody_waits_for_ever_where_the_doing_is_cancelled():
    doer = Doer()
    doer.may_go_on.clear()
    adding: list[asyncio.Task[None]] = []

    async def service() -> None:
        async with asyncio.TaskGroup() as tasks:
            adding.append(asyncio.create_task(Coalescer(tasks, doer).add(1)))
            await asyncio.Event().wait()

    running = asyncio.create_task(service())
    await doer.begun.get()
    running.cancel()
    await asyncio.wait([running])
    async with asyncio.timeout(1):
        await adding[0]
