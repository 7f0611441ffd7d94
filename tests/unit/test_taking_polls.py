"""When an executor looks for polls that are due, and how many it takes: as it has free slots."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from asyncexecutor import polls as polls_module
from asyncexecutor.intake import Intake
from asyncexecutor.polls import Polls
from asyncexecutor.running_attempts import RunningAttempts
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.claims import Claimable
from asynctestkit.claimed import claimed_task
from asynctestkit.eventually import eventually

CONCURRENCY = 3


class Consumption:
    is_consuming = True

    async def stop(self) -> None: ...

    async def resume(self) -> None: ...


@dataclass
class Place:
    """An executor's intake, and what asks upstreams when the test lets it."""

    due: int = 0
    errors: list[Exception] = field(default_factory=list[Exception])
    claimable: Claimable = field(default_factory=lambda: Claimable("q", {}, polled=["wait"]))
    looks: list[int] = field(default_factory=list[int])
    """For how many polls there was room, at each look."""
    running: int = 0
    deliveries: int = 0
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    on_job: Any = None
    intake: Any = None

    async def take_polls(self, *, most: int) -> list[ClaimedTask]:
        self.looks.append(most)
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop()
        taken = min(most, self.due)
        self.due -= taken
        return [claimed_task() for _ in range(taken)]

    async def poll(self, _: ClaimedTask) -> None:
        self.running += 1
        await self.may_end.wait()
        self.running -= 1

    async def handle(self, _: Any) -> None:
        self.deliveries += 1


@asynccontextmanager
async def executor(place: Place) -> AsyncGenerator[None]:
    anything: Any = place

    @asynccontextmanager
    async def consume(**_: Any) -> AsyncGenerator[Consumption]:
        yield Consumption()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        place.intake = Intake(
            place.handle, concurrency=CONCURRENCY, running=RunningAttempts(), tasks=tasks
        )
        polls = Polls(anything, anything, place.intake)
        async with place.intake.consuming(consume):
            looking = tasks.create_task(polls.loop.run())
            yield
            place.may_end.set()
            looking.cancel()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls_module, "GATHER_SECONDS", 0.01)


async def has_running(place: Place, number: int) -> None:
    def check() -> None:
        assert place.running == number

    await eventually(check)


async def test_no_more_are_taken_than_there_are_free_slots_and_a_delivery_waits_for_one():
    place = Place(due=5)
    async with executor(place):
        await has_running(place, CONCURRENCY)
        assert (place.looks, place.due) == ([CONCURRENCY], 2)
        place.intake._take(None)
        await asyncio.sleep(0.05)
        # It looks for slots before it asks for polls.
        assert (place.deliveries, place.looks, place.intake.in_hand) == (0, [CONCURRENCY], 4)
        place.may_end.set()

        def all_are_dealt_with() -> None:
            assert (place.deliveries, place.due, place.intake.in_hand) == (1, 0, 0)

        await eventually(all_are_dealt_with)
    assert [await place.intake.take_slots(most=2) for _ in range(3)] == [2, 1, 0]


async def test_one_that_drains_takes_none_until_it_is_told_to_go_on():
    place = Place()
    async with executor(place):
        await place.intake.follow(draining=True)
        await asyncio.sleep(0.05)
        place.due, looks = 1, len(place.looks)
        await asyncio.sleep(0.05)
        assert (len(place.looks), place.running) == (looks, 0)
        await place.intake.follow(draining=False)
        await has_running(place, 1)


async def test_where_no_operation_has_jobs_nobody_looks():
    place = Place(claimable=Claimable("q", {"wait": "own"}), due=1)
    async with executor(place):
        await asyncio.sleep(0.05)
        assert place.looks == []


@pytest.mark.parametrize("error", [ValueError("a bad row"), DatabaseUnavailableError()])
async def test_a_failed_look_costs_no_slot_and_is_followed_by_another(
    error: Exception, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(polls_module, "LOOK_SECONDS", 0.01)
    place = Place(errors=[error], due=1)
    with structlog.testing.capture_logs() as logs:
        async with executor(place):
            await has_running(place, 1)
            assert place.looks[:2] == [CONCURRENCY, CONCURRENCY]
    assert len([log for log in logs if log["event"] == "polls not taken"]) == (
        0 if isinstance(error, DatabaseUnavailableError) else 1
    )


async def test_it_looks_when_a_poll_is_expected_and_not_only_once_a_second():
    place = Place()
    async with executor(place):
        await eventually(lambda: _looked(place, 1))
        place.due = 1
        place.on_job(5.0)
        place.on_job(0.05)
        place.on_job(0.2)
        started = asyncio.get_running_loop().time()
        await has_running(place, 1)
        assert asyncio.get_running_loop().time() - started < 0.5


def _looked(place: Place, times: int) -> None:
    assert len(place.looks) >= times
