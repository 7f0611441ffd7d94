"""All who follow take a change over together, or none does."""

import asyncio

import pytest

from asynctasks.errors import OperationsFileError
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.operations.operation import Operation, Operations


def operations(*names: str) -> Operations:
    return {name: Operation(name=name, route=f"POST /{name}", handler="a:b") for name in names}


class Follower:
    def __init__(self) -> None:
        self.serves: list[str] = []
        self.may_prepare = asyncio.Event()
        self.may_prepare.set()

    async def prepare(self, changed: Operations):
        await self.may_prepare.wait()
        if "bad" in changed:
            raise OperationsFileError("bad")

        def swap() -> None:
            self.serves = sorted(changed)

        return swap


async def test_a_follower_is_led_to_what_there_is_and_to_each_change():
    live = LiveOperations(operations("a"))
    follower = Follower()
    async with live.followed_by(follower.prepare):
        assert follower.serves == ["a"]
        await live.change(operations("a", "b"))
        assert (follower.serves, sorted(live.current)) == (["a", "b"], ["a", "b"])
    await live.change(operations("c"))
    assert follower.serves == ["a", "b"]


async def test_what_one_refuses_nobody_takes_over():
    live = LiveOperations(operations("a"))
    willing, strict = Follower(), Follower()

    async def anything(changed: Operations):
        return lambda: setattr(willing, "serves", sorted(changed))

    async with live.followed_by(anything), live.followed_by(strict.prepare):
        with pytest.raises(OperationsFileError):
            await live.change(operations("a", "bad"))
        assert (willing.serves, strict.serves, sorted(live.current)) == (["a"], ["a"], ["a"])


async def test_one_who_comes_while_a_change_is_prepared_misses_nothing():
    live = LiveOperations(operations("a"))
    slow, late = Follower(), Follower()
    async with live.followed_by(slow.prepare), asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        slow.may_prepare.clear()
        tasks.create_task(live.change(operations("b")))
        await asyncio.sleep(0)

        async def follow() -> None:
            async with live.followed_by(late.prepare):
                assert late.serves == ["b"]

        following = tasks.create_task(follow())
        await asyncio.sleep(0)
        slow.may_prepare.set()
        await following
    assert slow.serves == ["b"]


async def test_what_cannot_be_served_at_the_start_is_said_and_not_followed():
    live = LiveOperations(operations("bad"))
    with pytest.raises(OperationsFileError):
        async with live.followed_by(Follower().prepare):
            pass
    await live.change(operations("bad", "worse"))
