"""Both reply strategies on both brokers: in time, too late, missed, and without the broker."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from asyncproxy.replies import PerTaskReplies, Replies, SharedReplies, listening_replies
from asyncproxy.settings import ReplyStrategy
from asynctasks.broker.in_memory import InMemoryBroker
from asynctasks.broker.messages import Reply, ReplyInRow
from asynctasks.broker.protocol import Broker, OnReply, OnRestored
from asynctasks.broker.rabbitmq import RabbitmqBroker
from asynctasks.errors import BrokerUnavailableError, DatabaseUnavailableError
from asynctasks.response import Response
from asynctasks.task import TaskStatus
from asynctestkit.eventually import PATIENCE_SECONDS, eventually


class FakeStore:
    """A store that knows which tasks have finished, and counts how often it is asked."""

    def __init__(self) -> None:
        self.finished: set[UUID] = set()
        self.asked: list[int] = []
        self.is_away = False

    async def finished_among(self, task_ids: Sequence[UUID]) -> list[UUID]:
        self.asked.append(len(task_ids))
        if self.is_away:
            raise DatabaseUnavailableError
        return [task_id for task_id in task_ids if task_id in self.finished]


class RestoredBroker(InMemoryBroker):
    """The memory broker with a connection that a test can lose and restore."""

    def __init__(self) -> None:
        super().__init__()
        self.restore: OnRestored = lambda: None

    @asynccontextmanager
    async def shared_reply_queue(
        self, on_reply: OnReply, *, on_restored: OnRestored
    ) -> AsyncGenerator[str]:
        self.restore = on_restored
        async with super().shared_reply_queue(on_reply, on_restored=on_restored) as name:
            yield name


class AwayBroker(InMemoryBroker):
    """A broker that cannot be reached."""

    @asynccontextmanager
    async def temporary_reply_queue(self, on_reply: OnReply) -> AsyncGenerator[str]:
        raise BrokerUnavailableError
        yield on_reply


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture(params=list(ReplyStrategy))
async def replies(
    request: pytest.FixtureRequest, broker: Broker, store: FakeStore
) -> AsyncIterator[Replies]:
    async with listening_replies(request.param, broker=broker, store=cast("Any", store)) as replies:
        yield replies


def reply_to(task_id: UUID, body: bytes = b"{}") -> Reply:
    return Reply(task_id, TaskStatus.SUCCEEDED, Response(200, "application/json", body))


def waiting(replies: Any) -> int:
    return len(replies._expected)


async def test_a_reply_in_time_ends_the_wait(broker: Broker, replies: Replies):
    task_id = uuid4()
    async with replies.expect(task_id) as expected:
        assert expected.reply_to is not None
        await broker.reply(expected.reply_to, reply_to(task_id))
        assert await expected.wait(PATIENCE_SECONDS) == reply_to(task_id)


async def test_a_reply_before_the_wait_begins_is_kept(broker: Broker, replies: Replies):
    task_id = uuid4()
    async with replies.expect(task_id) as expected:
        await broker.reply(str(expected.reply_to), reply_to(task_id))
        await eventually(lambda: arrived(expected))
        assert await expected.wait(0) == reply_to(task_id)


def arrived(expected: Any) -> None:
    assert expected._arrived.done()


async def test_a_hundred_callers_each_get_their_own_reply(broker: Broker, replies: Replies):
    async def caller(number: int) -> None:
        task_id = uuid4()
        async with replies.expect(task_id) as expected:
            sent = reply_to(task_id, str(number).encode())
            await broker.reply(str(expected.reply_to), sent)
            assert await expected.wait(PATIENCE_SECONDS) == sent

    await asyncio.gather(*map(caller, range(100)))
    assert waiting(replies) == 0


async def test_a_reply_after_the_window_is_dropped_and_nothing_is_kept(
    broker: Broker, replies: Replies
):
    late, next_one = uuid4(), uuid4()
    async with replies.expect(late) as expected:
        assert await expected.wait(0.05) is None
        await broker.reply(str(expected.reply_to), reply_to(late))
        name = str(expected.reply_to)
    await broker.reply(name, reply_to(late))
    assert waiting(replies) == 0
    async with replies.expect(next_one) as expected:
        await broker.reply(str(expected.reply_to), reply_to(next_one))
        assert await expected.wait(PATIENCE_SECONDS) == reply_to(next_one)


async def test_a_caller_that_goes_leaves_nothing_behind(replies: Replies):
    inside = asyncio.Event()

    async def caller() -> None:
        async with replies.expect(uuid4()) as expected:
            inside.set()
            await expected.wait(60)

    task = asyncio.create_task(caller())
    await inside.wait()
    assert waiting(replies) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waiting(replies) == 0


async def test_a_leaving_proxy_lets_all_go_at_once_and_keeps_nobody_who_comes_later(
    replies: Replies,
):
    async def caller() -> float:
        began = time.monotonic()
        async with replies.expect(uuid4()) as expected:
            assert await expected.wait(60) is None
        return time.monotonic() - began

    callers = [asyncio.create_task(caller()) for _ in range(5)]

    def all_wait() -> None:
        assert waiting(replies) == 5

    await eventually(all_wait)
    replies.release_all()
    assert max(await asyncio.gather(*callers, caller())) < 50


async def test_a_response_too_large_for_rabbitmq_is_left_to_the_row(
    broker: Broker, replies: Replies
):
    task_id = uuid4()
    large = reply_to(task_id, b"x" * 1_000_000)
    async with replies.expect(task_id) as expected:
        await broker.reply(str(expected.reply_to), large)
        stays = isinstance(broker, InMemoryBroker)  # within one process any size will do
        assert await expected.wait(PATIENCE_SECONDS) == (large if stays else ReplyInRow(task_id))


async def test_replies_missed_while_the_connection_was_lost_are_found_by_one_query(
    store: FakeStore,
):
    task_ids = [uuid4() for _ in range(300)]
    store.finished = set(task_ids[::2])
    async with RestoredBroker() as broker, listening(broker, store) as replies:

        async def caller(task_id: UUID) -> Reply | ReplyInRow | None:
            async with replies.expect(task_id) as expected:
                return await expected.wait(PATIENCE_SECONDS)

        async with asyncio.TaskGroup() as callers:
            waits = [callers.create_task(caller(task_id)) for task_id in task_ids]

            def all_wait() -> None:
                assert waiting(replies) == 300

            await eventually(all_wait)
            broker.restore()
            found = await asyncio.gather(*waits[::2])
            replies.release_all()
        assert store.asked == [300]
        assert found == [ReplyInRow(task_id) for task_id in task_ids[::2]]
        assert {wait.result() for wait in waits[1::2]} == {None}


async def test_nobody_waiting_means_no_query_and_a_database_that_is_away_ends_nothing(
    store: FakeStore,
):
    async with RestoredBroker() as broker, listening(broker, store) as replies:
        broker.restore()
        store.is_away = True
        task_id = uuid4()
        async with replies.expect(task_id) as expected:
            broker.restore()

            def asked() -> None:
                assert store.asked == [1]

            await eventually(asked)
            store.is_away = False
            store.finished = {task_id}
            broker.restore()
            assert await expected.wait(PATIENCE_SECONDS) == ReplyInRow(task_id)


def listening(broker: Broker, store: FakeStore) -> Any:
    return listening_replies(ReplyStrategy.SHARED, broker=broker, store=cast("Any", store))


async def test_replies_lost_with_rabbitmqs_connection_are_found_after_it(
    amqp_url: str, queue_prefix: str, store: FakeStore
):
    task_id = uuid4()
    store.finished = {task_id}
    async with (
        RabbitmqBroker(
            amqp_url, queues=["clients"], prefix=f"{queue_prefix}r", publish_seconds=20
        ) as broker,
        listening(broker, store) as replies,
    ):
        assert isinstance(replies, SharedReplies)
        async with replies.expect(task_id) as expected:
            assert not expected._arrived.done()
            for task in asyncio.all_tasks():  # the reply queue's connection breaks
                if task.get_name() == "rabbitmq replies":
                    break_connection(task)
            assert await expected.wait(PATIENCE_SECONDS) == ReplyInRow(task_id)


def break_connection(connection_task: asyncio.Task[Any]) -> None:
    coroutine: Any = connection_task.get_coro()
    coroutine.cr_frame.f_locals["self"].restart()


async def test_without_the_broker_a_caller_with_a_queue_of_its_own_expects_no_reply():
    async with AwayBroker() as broker:
        replies = PerTaskReplies(broker)
        async with replies.expect(uuid4()) as expected:
            assert expected.reply_to is None
            assert await expected.wait(0.01) is None
        assert waiting(replies) == 0


async def test_an_error_in_the_callers_body_is_not_taken_for_the_brokers():
    async with InMemoryBroker() as broker:
        replies = PerTaskReplies(broker)
        with pytest.raises(BrokerUnavailableError, match="mine"):
            async with replies.expect(uuid4()):
                raise BrokerUnavailableError("mine")
        assert waiting(replies) == 0
        assert broker._reply_queues == {}
