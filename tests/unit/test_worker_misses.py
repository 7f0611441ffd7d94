"""What an executor does with a message about a task that it could not claim."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from asyncexecutor.misses import Miss
from asyncexecutor.progress import ProgressNotes
from asyncexecutor.runner import Answer, Attempt, Runnable
from asyncexecutor.running_attempts import RunningAttempts
from asyncexecutor.worker import MOST_CLAIMS, Worker
from asynctasks.operations.operation import Operation
from asynctasks.operations.sealing import Sealing
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.task import TaskStatus, new_task_id
from asynctestkit.claimed import claimed_task
from asynctestkit.no_blobs import NO_BLOBS
from asynctestkit.no_breakers import NO_BREAKERS

TASK = new_task_id()


class Claims:
    """The claim of this number finds the task, and none before."""

    def __init__(self, found_by: int) -> None:
        self.claims = 0
        self.finished: list[TaskStatus] = []
        self._found_by = found_by

    async def claim(self, task_id: UUID) -> ClaimedTask | None:
        self.claims += 1
        if self.claims < self._found_by:
            return None
        return claimed_task(id=task_id)

    async def finish(self, task: ClaimedTask, outcome: Outcome) -> Outcome:
        self.finished.append(outcome.status)
        return outcome


class Misses:
    """Each look finds the next of these."""

    def __init__(self, *found: Miss) -> None:
        self.found = list(found)

    async def settle(self, task_id: UUID) -> Miss:
        return self.found.pop(0)


class Runner:
    async def run(self, attempt: Attempt) -> Answer:
        return Answer(Response(200, "", b""))


class Delivery:
    body = b'{"task": "%s", "operation": "wait"}' % str(TASK).encode()

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def ack(self) -> None:
        self.ended.append("acked")

    async def dead_letter(self, reason: str) -> None:
        self.ended.append(reason)


async def handled(claims: Any, misses: Any) -> list[str]:
    worker = Worker(
        claims,
        misses=misses,
        broker=None,  # pyright: ignore[reportArgumentType] - nobody waits for a reply
        sealing=Sealing([]),
        blobs=NO_BLOBS,
        running=RunningAttempts(),
        breakers=NO_BREAKERS,
        notes=ProgressNotes(),
        queue="waits",
        max_interruptions=5,
    )
    operation = Operation(name="wait", route="POST /wait", handler="asyncio:sleep")
    worker.add({"wait": Runnable(operation, Runner())})
    delivery: Any = Delivery()
    async with asyncio.timeout(5):
        await worker.handle(delivery)
    return delivery.ended


@pytest.mark.parametrize("misses", [0, 1, 2])
async def test_a_task_that_is_ours_by_the_time_of_the_look_is_claimed_after_all(misses: int):
    claims = Claims(found_by=misses + 1)
    assert await handled(claims, Misses(*[Miss.CLAIM_AGAIN] * misses)) == ["acked"]
    assert (claims.claims, claims.finished) == (misses + 1, [TaskStatus.SUCCEEDED])


async def test_what_is_called_ours_and_never_found_is_not_claimed_for_ever():
    claims = Claims(found_by=100)
    assert await handled(claims, Misses(*[Miss.CLAIM_AGAIN] * MOST_CLAIMS)) == ["acked"]
    assert (claims.claims, claims.finished) == (MOST_CLAIMS, [])


@pytest.mark.parametrize(
    ("miss", "end"),
    [(Miss.FORGET, "acked"), (Miss.NO_SUCH_TASK, "there is no task")],
)
async def test_what_others_see_to_is_forgotten_and_what_nobody_knows_put_aside(
    miss: Miss, end: str
):
    claims = Claims(found_by=100)
    (ended,) = await handled(claims, Misses(miss))
    assert ended.startswith(end)
    assert (claims.claims, claims.finished) == (1, [])
