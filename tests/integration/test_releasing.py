"""Releases in the background of a process, and how they publish."""

from typing import Any

import pytest

from asynctasks.broker.in_memory import InMemoryBroker
from asynctasks.errors import BrokerUnavailableError
from asynctasks.limits.limit import Limit
from asynctasks.operations.live_operations import LiveOperations
from asynctasks.releases import Releases, queues_together
from asynctasks.statements.releases import HeldTasks
from asynctestkit.eventually import eventually
from asynctestkit.inside import by_name, operation
from asynctestkit.ready import ready
from asynctestkit.releasing import MakeTask, add, bounded, releases


class Refusing(InMemoryBroker):
    """Refuses for as long as it is told to."""

    refuses = True

    async def publish(self, queue: str, message: Any) -> None:
        if self.refuses:
            raise BrokerUnavailableError
        await super().publish(queue, message)


async def test_what_could_not_be_published_is_held_again(parts: Any, new_task: MakeTask):
    broker = Refusing()
    await add(parts, new_task, 3)
    relay = releases(parts.database, broker, bounded(concurrency=2))
    with pytest.raises(BrokerUnavailableError):
        await relay.release(["clients"])
    broker.refuses = False
    progress = await relay.release(["clients"])
    assert (progress.released, progress.waits) == (2, True)
    await ready(broker, 2)


async def test_many_wishes_for_a_release_are_few_releases(parts: Any, new_task: MakeTask):
    broker, looks = InMemoryBroker(), 0
    async with releases(parts.database, broker) as relay:
        waiting = relay._held.waiting

        async def counted(queues: Any) -> Any:
            nonlocal looks
            looks += 1
            return await waiting(queues)

        relay._held.waiting = counted  # type: ignore[method-assign]
        for _ in range(100):
            await add(parts, new_task)
            relay.soon("clients")
        await eventually(lambda: ready(broker, 100))
        assert looks < 100
        await eventually(lambda: _is(len(relay._running), 0))
        before = looks
        for _ in range(100):
            relay.soon("clients")
        await eventually(lambda: _is(looks, before + 1))


async def _is(found: int, expected: int) -> None:
    assert found == expected


async def test_a_background_release_outlives_a_broker_that_is_away(parts: Any, new_task: MakeTask):
    broker = Refusing()
    async with releases(parts.database, broker) as relay:
        await add(parts, new_task)
        relay.soon("clients")
        await eventually(lambda: _is(len(relay._running), 0))
        broker.refuses = False
        relay.soon("clients")
        await eventually(lambda: ready(broker, 1))


async def test_what_the_file_has_no_more_keeps_its_limits_with_those_who_knew_it(
    parts: Any, new_task: MakeTask
):
    gone, free = bounded("gone", concurrency=2), operation()
    live, broker = LiveOperations(by_name([gone, free])), InMemoryBroker()
    relay = Releases(HeldTasks(parts.database, grace_seconds=60), broker, live)
    await relay.release(["clients"])
    await live.change(by_name([free]))
    await add(parts, new_task, 3, operation="gone")
    await add(parts, new_task, 1)
    late = Releases(HeldTasks(parts.database, grace_seconds=60), broker, live)
    assert (await late.release(["clients"])).released == 1
    assert (await relay.release(["clients"])).released == 2


def test_queues_are_released_together_that_share_limits_also_in_a_row():
    limits = {name: Limit(name=name) for name in ("crm", "sap")}
    operations = [
        operation("one", queue="a", limits=("crm",)).bounded_by(limits),
        operation("two", queue="b", limits=("sap",)).bounded_by(limits),
        operation("three", queue="c"),
        operation("four", queue="d", limits=("crm", "sap")).bounded_by(limits),
        operation("five", queue="a"),
    ]
    abd = frozenset("abd")
    assert queues_together(by_name(operations)) == {
        "a": abd,
        "b": abd,
        "d": abd,
        "c": frozenset("c"),
    }
