"""An executor's place on the roster, with the roster there and away."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from asyncexecutor.heartbeat import HeartbeatLoop
from asyncexecutor.intake import Intake
from asyncexecutor.running_attempts import RunningAttempts
from asynctasks.broker.protocol import Delivery
from asynctasks.errors import DatabaseUnavailableError
from asynctasks.statements.roster import Heartbeat
from asynctestkit.eventually import eventually


class Roster:
    """Answers what it is given, and from then on that nobody is to drain."""

    def __init__(self, *answers: bool | None) -> None:
        self.answers = list(answers)
        self.beats: list[Heartbeat] = []
        self.left: list[str] = []
        self.is_away_at_the_end = False

    async def beat(self, heartbeat: Heartbeat) -> bool:
        self.beats.append(heartbeat)
        answer = self.answers.pop(0) if self.answers else False
        if answer is None:
            raise DatabaseUnavailableError
        return answer

    async def leave(self, name: str) -> None:
        self.left.append(name)
        if self.is_away_at_the_end:
            raise DatabaseUnavailableError


class Consumption:
    def __init__(self) -> None:
        self.is_consuming = True
        self.calls: list[str] = []

    async def stop(self) -> None:
        self.calls.append("stop")

    async def resume(self) -> None:
        self.calls.append("resume")


async def no_delivery(_: Delivery) -> None:
    raise AssertionError("nothing is delivered")


async def reported(roster: Roster, beats: int) -> tuple[Intake, Consumption, list[Any]]:
    consumption = Consumption()
    intake = Intake(
        no_delivery, concurrency=4, running=RunningAttempts(), tasks=asyncio.TaskGroup()
    )
    intake._consumption = consumption
    anything: Any = roster
    heartbeat_loop = HeartbeatLoop(
        roster=anything,
        intake=intake,
        name="one",
        queue="clients",
        pod="pod-1",
        concurrency=4,
        interval_seconds=0.001,
    )

    def all_beats() -> None:
        assert len(roster.beats) >= beats

    with capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(heartbeat_loop.run())
            await eventually(all_beats)
            heartbeat_loop.loop.end()
    return intake, consumption, logs


async def test_it_leaves_its_queue_and_comes_back_as_it_is_told_and_says_so():
    roster = Roster(False, True, True, True, False)
    intake, consumption, _ = await reported(roster, 6)
    assert consumption.calls == ["stop", "resume"]
    assert [beat.consuming for beat in roster.beats[:6]] == [True, True, False, False, False, True]
    assert intake.obstacle is None
    assert roster.beats[0].pod == "pod-1"
    assert roster.left == ["one"]


@pytest.mark.parametrize("before", [False, True])
async def test_without_its_database_it_goes_on_as_it_was_and_says_so_once(before: bool):
    roster = Roster(before, *[None] * 5, before)
    roster.is_away_at_the_end = True
    _, consumption, logs = await reported(roster, 7)
    assert consumption.calls[:1] == (["stop"] if before else [])
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [
        "loop waits",
        "executor not taken off the roster",
    ]


async def test_what_keeps_it_from_consuming_is_what_it_says():
    intake = Intake(
        no_delivery, concurrency=4, running=RunningAttempts(), tasks=asyncio.TaskGroup()
    )
    assert intake.obstacle == "starting"
    intake._consumption = consumption = Consumption()
    assert intake.obstacle is None
    consumption.is_consuming = False
    assert intake.obstacle == "the broker is not connected"
    consumption.is_consuming = True
    await intake.follow(draining=True)
    assert intake.obstacle == "draining"
    await intake.leave(drain_seconds=0)
    assert intake.obstacle == "stopping"
    assert await intake.follow(draining=False) is False
    assert consumption.calls == ["stop", "stop"]
