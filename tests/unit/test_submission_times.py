"""How long a call takes at most, whatever the database and the broker do."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from asyncproxy import submission
from asyncproxy.body_budget import BodyBudget
from asyncproxy.caller import Caller
from asyncproxy.settings import ProxySettings
from asyncproxy.submission import Call, Submission
from asyncproxy.task_view import task_json
from asynctasks.errors import BrokerUnavailableError, DatabaseUnavailableError
from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.operations.operation import Operation
from asynctasks.statements.store import Added
from asynctasks.task import TaskStatus, new_task_id
from asynctasks.traces.traces import NO_TRACES
from asynctestkit.virtual_time import in_virtual_time

WRITE_SECONDS = 4
CREATE_CLIENT = Operation(name="create-client", route="POST /clients", handler="asyncio:sleep")


class Store:
    """Takes so long for a new row, and for ever for all else."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def add(self, task: NewTask, _: object) -> Added:
        await asyncio.sleep(self._seconds)
        return Added(task.id, is_new=True, fingerprint=None)

    async def hold(self, _: list[UUID]) -> None:
        await asyncio.sleep(3_600)

    async def find(self, _: UUID) -> Any:
        await asyncio.sleep(3_600)


class Broker:
    """Does this with each message."""

    def __init__(self, publish: Callable[[], Awaitable[None]]) -> None:
        self._publish = publish

    async def publish(self, *_: Any) -> None:
        await self._publish()


class NoReply:
    async def wait(self, seconds: float) -> None:
        pass


async def hang() -> None:
    await asyncio.sleep(3_600)


async def refuse() -> None:
    raise BrokerUnavailableError("it is away")


def new_task() -> NewTask:
    return NewTask(
        id=new_task_id(),
        operation="create-client",
        queue="clients",
        arguments=None,
        sealed_arguments=None,
        max_attempts=1,
        created_at=utc_now(),
        published=True,
        publish_in_seconds=30,
    )


def submission_of(store: Store, broker: Broker | None = None) -> Submission:
    parts: dict[str, Any] = dict.fromkeys(Submission.__dataclass_fields__)
    settings = ProxySettings.read(
        {
            "database_url": "sqlite:///x.db",
            "broker_url": "memory://",
            "write_seconds": WRITE_SECONDS,
        }
    )
    parts |= {"store": store, "broker": broker, "settings": settings, "traces": NO_TRACES}
    return Submission(**parts)


async def submitted(store: Store, broker: Broker) -> Any:
    call = Call(
        operation=CREATE_CLIENT,
        task=new_task(),
        fingerprints=(),
        window_seconds=0,
        body=BodyBudget(1_000).hold(),
        caller=Caller(),
    )
    return await submission_of(store, broker)._submit(call, None, time.monotonic())


@pytest.mark.parametrize("publish", [hang, refuse])
@in_virtual_time
async def test_row_and_message_have_one_time_together(publish: Callable[[], Awaitable[None]]):
    began = asyncio.get_running_loop().time()

    found = await submitted(Store(WRITE_SECONDS - 1), Broker(publish))

    assert found.result.status is TaskStatus.QUEUED  # stored, and the relay's to publish
    assert asyncio.get_running_loop().time() - began == pytest.approx(WRITE_SECONDS)


@in_virtual_time
async def test_a_row_that_is_not_committed_in_time_is_told_as_such():
    with pytest.raises(DatabaseUnavailableError, match="did not commit within 4 s"):
        await submitted(Store(WRITE_SECONDS + 1), Broker(hang))


@in_virtual_time
async def test_a_repeat_is_told_of_a_database_that_hangs():
    call: Any = Call(
        operation=CREATE_CLIENT,
        task=replace(new_task(), body=b"as it came"),
        fingerprints=["f"],
        window_seconds=0,
        body=BodyBudget(1_000).hold(),
    )
    earlier = Added(new_task_id(), is_new=False, fingerprint="f")
    with pytest.raises(DatabaseUnavailableError, match="did not answer within 2 s"):
        await submission_of(Store(0))._join(call, earlier, 0)
    assert (call.task.arguments, call.task.body) == (None, None)  # the earlier task has them


async def test_a_database_that_hangs_does_not_hold_a_caller_past_its_window(monkeypatch: Any):
    monkeypatch.setattr(submission, "LOOK_SECONDS", 0.01)
    task = new_task()
    expected: Any = NoReply()
    async with asyncio.timeout(5):
        result: Any = await submission_of(Store(0))._wait(task, expected, 0)
    assert (result.id, result.status) == (task.id, TaskStatus.QUEUED)
    assert "arguments" not in task_json(result)  # they were let go while it waited
