"""An attempt that is ended from outside, and what its task becomes by that."""

import asyncio

import pytest

from asyncexecutor.running_attempts import RunningAttempts
from asynctasks.outcome import Outcome
from asynctasks.statements.claims import Held
from asynctasks.task import TaskStatus
from asynctestkit.claimed import claimed_task

TASK = claimed_task(attempt=2)
DONE = Outcome(TaskStatus.SUCCEEDED)


async def never() -> Outcome:
    await asyncio.Event().wait()
    return DONE


async def stopped_by(running: RunningAttempts, held: list[Held] | None) -> Outcome | None:
    """What becomes of the task when the database answers that, or with None in a drain."""
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        attempt = tasks.create_task(running.run(TASK, never()))
        await asyncio.sleep(0)
        if held is None:
            running.stop_all()
        else:
            running.observe(running.numbers, held)
    assert running.numbers == {}
    return attempt.result()


async def test_one_that_ends_by_itself_gives_its_outcome():
    async def ends() -> Outcome:
        return DONE

    assert await RunningAttempts().run(TASK, ends()) is DONE


async def test_one_whose_cancel_was_asked_for_cancels_its_task():
    outcome = await stopped_by(RunningAttempts(), [Held(TASK.id, 2, cancel_requested=True)])
    assert outcome is not None
    assert (outcome.status, outcome.attempts[0]["outcome"]) == (TaskStatus.CANCELLED, "cancelled")


async def test_one_that_outlasts_the_drain_gives_its_task_back():
    outcome = await stopped_by(RunningAttempts(), None)
    assert outcome is not None
    assert (outcome.status, outcome.is_given_back) == (TaskStatus.QUEUED, True)
    assert outcome.attempts[0]["outcome"] == "given back"


@pytest.mark.parametrize("held", [[], [Held(TASK.id, 3, cancel_requested=False)]])
async def test_one_whose_task_is_anothers_by_now_leaves_no_outcome(held: list[Held]):
    assert await stopped_by(RunningAttempts(), held) is None


async def test_a_timeout_of_its_own_is_not_taken_for_a_stop():
    async def times_out() -> Outcome:
        raise TimeoutError

    running = RunningAttempts()
    with pytest.raises(TimeoutError):
        await running.run(TASK, times_out())
    assert running.numbers == {}
