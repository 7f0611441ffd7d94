"""RabbitMQ ends with just those deliveries acked that were, however few frames say so."""

import asyncio
from typing import Any

from aiormq.exceptions import ChannelInvalidStateError
from hypothesis import example, given
from hypothesis import strategies as st

from asynctasks.broker.rabbitmq_acks import RabbitmqAcks


class Channel:
    """What RabbitMQ makes of a channel's frames; it closes the channel on a tag it does not know.

    A frame may wait for room in the queue of those to be written, as in aiormq.
    """

    def __init__(self, *, room: int = 1_000) -> None:
        self.unsettled: set[int] = set()
        self.acked: set[int] = set()
        self.nacked: set[int] = set()
        self.frames = 0
        self.is_open = True
        self._room = asyncio.Semaphore(room)

    def deliver(self, count: int) -> None:
        self.unsettled = set(range(1, count + 1))

    async def basic_ack(self, tag: int, *, multiple: bool = False, **_: bool) -> None:
        await self._frame(self.acked, tag, multiple=multiple)

    async def basic_nack(self, tag: int, **_: bool) -> None:
        await self._frame(self.nacked, tag)

    async def basic_reject(self, tag: int, **_: bool) -> None:
        await self._frame(self.nacked, tag)

    async def _frame(self, into: set[int], tag: int, *, multiple: bool = False) -> None:
        async with self._room:
            await asyncio.sleep(0)
            if not self.is_open:
                raise ChannelInvalidStateError("closed")
            if tag not in self.unsettled:
                self.is_open = False
                raise AssertionError(f"unknown delivery tag {tag}")
            settled = {one for one in self.unsettled if one <= tag} if multiple else {tag}
            self.unsettled -= settled
            into |= settled
            self.frames += 1


def deliver(channel: Channel, tasks: asyncio.TaskGroup, count: int) -> RabbitmqAcks:
    fake: Any = channel
    acks = RabbitmqAcks(fake, tasks)
    channel.deliver(count)
    for tag in range(1, count + 1):
        acks.delivered(tag)
    return acks


turns = st.permutations(range(1, 13)).flatmap(
    lambda tags: st.tuples(
        st.just(tags),
        st.lists(st.sampled_from(["ack", "ack", "ack", "release", "reject", ""]), min_size=12),
        st.lists(st.integers(0, 3), min_size=12),
    )
)


@given(turns=turns, room=st.integers(1, 3))
@example(turns=(list(range(1, 13)), ["ack"] * 12, [0] * 12), room=1)
def test_each_delivery_is_settled_as_was_said_and_no_other(
    turns: tuple[list[int], list[str], list[int]], room: int
):
    async def run() -> None:
        channel = Channel(room=room)
        async with asyncio.TaskGroup() as tasks:
            acks = deliver(channel, tasks, 12)
            for tag, how, steps in zip(*turns, strict=False):
                if how:
                    tasks.create_task(getattr(acks, how)(tag))
                for _ in range(steps):
                    await asyncio.sleep(0)
        said: dict[str, set[int]] = {"ack": set(), "release": set(), "reject": set(), "": set()}
        for tag, how in zip(turns[0], turns[1], strict=False):
            said[how].add(tag)
        assert channel.is_open
        assert channel.acked == said["ack"]
        assert channel.nacked == said["release"] | said["reject"]
        assert channel.unsettled == said[""]

    asyncio.run(run())


async def acked_at_once(*tags: int) -> Channel:
    channel = Channel()
    async with asyncio.TaskGroup() as tasks:
        acks = deliver(channel, tasks, 100)
        await asyncio.gather(*map(acks.ack, tags))
    assert channel.acked == set(tags)
    return channel


async def test_a_hundred_acks_at_once_are_one_frame():
    assert (await acked_at_once(*range(100, 0, -1))).frames == 1


async def test_those_behind_a_delivery_still_in_hand_go_one_by_one():
    assert (await acked_at_once(1, 2, 3, 5, 6)).frames == 3


async def test_a_channel_that_is_gone_is_silent():
    channel = Channel()
    async with asyncio.TaskGroup() as tasks:
        acks = deliver(channel, tasks, 3)
        channel.is_open = False
        settle: Any
        for tag, settle in enumerate((acks.ack, acks.release, acks.reject), start=1):
            await settle(tag)
    assert len(channel.unsettled) == 3


async def test_an_ack_that_nobody_writes_any_more_returns():
    """As on a connection whose writer has ended and that aiormq has not yet closed."""
    channel: Any = Channel(room=0)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        acks = RabbitmqAcks(channel, tasks, settle_seconds=0.01)
        for tag in (1, 2, 3):
            acks.delivered(tag)
        await acks.ack(1)
        await acks.release(2)
        await acks.reject(3)
