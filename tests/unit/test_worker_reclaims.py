"""An executor that claims a task anew of which it still runs an earlier attempt."""

import asyncio
from typing import Any
from uuid import UUID

from asyncexecutor.progress import ProgressNotes
from asyncexecutor.runner import Answer, Attempt, Runnable
from asyncexecutor.running_attempts import RunningAttempts
from asyncexecutor.worker import Worker
from asynctasks.operations.operation import Operation
from asynctasks.operations.sealing import Sealing
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.task import new_task_id
from asynctestkit.claimed import claimed_task
from asynctestkit.no_blobs import NO_BLOBS
from asynctestkit.no_breakers import NO_BREAKERS

TASK = new_task_id()
OPERATION = Operation(name="wait", route="POST /wait", handler="asyncio:sleep")


class Claims:
    """The newest attempt alone may finish."""

    def __init__(self) -> None:
        self.attempt = 0
        self.finished: list[int] = []

    async def claim(self, task_id: UUID) -> ClaimedTask:
        self.attempt += 1
        return claimed_task(id=task_id, attempt=self.attempt)

    async def finish(self, task: ClaimedTask, outcome: Outcome) -> Outcome | None:
        if task.attempt != self.attempt:
            return None
        self.finished.append(task.attempt)
        return outcome


class Runner:
    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.is_called = asyncio.Event()

    async def run(self, attempt: Attempt) -> Answer:
        self.is_called.set()
        await self.may_end.wait()
        return Answer(Response(200, "", b""))


class Delivery:
    body = b'{"task": "%s", "operation": "wait"}' % str(TASK).encode()
    acked = False

    async def ack(self) -> None:
        self.acked = True


def make_worker(claims: Claims, runner: Runner, running: RunningAttempts) -> Worker:
    anything: Any = claims
    nothing: Any = None
    worker = Worker(
        anything,
        misses=nothing,
        broker=nothing,
        sealing=Sealing([]),
        blobs=NO_BLOBS,
        running=running,
        breakers=NO_BREAKERS,
        notes=ProgressNotes(),
        queue="waits",
        max_interruptions=5,
    )
    worker.add({"wait": Runnable(OPERATION, runner)})
    return worker


async def test_the_earlier_attempt_is_stopped_and_the_newer_one_goes_on():
    claims, runner = Claims(), Runner()
    running = RunningAttempts()
    worker = make_worker(claims, runner, running)
    deliveries: list[Any] = [Delivery(), Delivery()]
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(worker.handle(deliveries[0]))
        await runner.is_called.wait()
        second = tasks.create_task(worker.handle(deliveries[1]))
        await first
        assert running.numbers == {TASK: 2}  # so its lease is renewed
        runner.may_end.set()
        await second
    assert [delivery.acked for delivery in deliveries] == [True, True]
    assert (claims.finished, running.numbers) == ([2], {})


async def test_what_was_asked_about_an_earlier_attempt_does_not_stop_a_newer_one():
    claims, runner = Claims(), Runner()
    running = RunningAttempts()
    worker = make_worker(claims, runner, running)
    delivery: Any = Delivery()
    claims.attempt = 1
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        handling = tasks.create_task(worker.handle(delivery))
        await runner.is_called.wait()
        running.observe({TASK: 1}, [])  # asked before, answered since
        runner.may_end.set()
        await handling
    assert claims.finished == [2]
