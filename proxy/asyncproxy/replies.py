"""Waiting for an executor's reply, by either strategy."""

from __future__ import annotations

import asyncio
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from typing import TYPE_CHECKING, Protocol

from asyncproxy.settings import ReplyStrategy
from asynctasks.broker.messages import Reply, ReplyInRow
from asynctasks.errors import BrokerUnavailableError
from asynctasks.loop import Loop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from uuid import UUID

    from asynctasks.broker.protocol import Broker
    from asynctasks.statements.store import TaskStore

_LOOK_SIZE = 1_000


class ExpectedReply:
    """One caller's wait for the reply to its task; `reply_to` is None where none can come."""

    def __init__(self, reply_to: str | None = None) -> None:
        self.reply_to = reply_to
        self._arrived: asyncio.Future[Reply | ReplyInRow | None] = (
            asyncio.get_running_loop().create_future()
        )

    def resolve(self, reply: Reply | ReplyInRow | None) -> None:
        """End the wait, with None where the row should be looked at instead."""
        if not self._arrived.done():
            self._arrived.set_result(reply)

    async def wait(self, seconds: float) -> Reply | ReplyInRow | None:
        """The reply, or None when the wait ended without one."""
        try:
            async with asyncio.timeout(seconds):
                return await self._arrived
        except TimeoutError:
            return None


class Replies(Protocol):
    """Where the callers of one proxy wait for the replies to their tasks."""

    def expect(self, task_id: UUID) -> AbstractAsyncContextManager[ExpectedReply]:
        """Be ready for the task's reply before the task exists."""
        ...

    def release_all(self) -> None:
        """Let every caller go on now: the proxy is leaving."""

    @property
    def loops(self) -> Sequence[Loop]:
        """What runs for it in the background."""
        ...


class SharedReplies:
    """Replies by one queue for all callers of this process, told apart by task id."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._expected: dict[UUID, ExpectedReply] = {}
        self._reply_to: str | None = None
        # After a failure, too, it waits for the next connection: each caller looks for itself when
        # its window ends.
        self._loop = Loop("missed replies", self._look_for_missed, interval_seconds=None)
        self._is_leaving = False

    @property
    def loops(self) -> Sequence[Loop]:
        """See `Replies`."""
        return [self._loop]

    @asynccontextmanager
    async def listening(self, broker: Broker) -> AsyncGenerator[None]:
        """Receive replies for as long as it is entered."""
        async with (
            asyncio.TaskGroup() as tasks,
            broker.shared_reply_queue(
                self._on_reply, on_restored=self._loop.poke
            ) as self._reply_to,
        ):
            looking = tasks.create_task(self._loop.run(), name=self._loop.name)
            try:
                yield
            finally:
                looking.cancel()

    @asynccontextmanager
    async def expect(self, task_id: UUID) -> AsyncGenerator[ExpectedReply]:
        """Costs a dictionary entry."""
        expected = self._expected[task_id] = ExpectedReply(self._reply_to)
        if self._is_leaving:
            expected.resolve(None)
        try:
            yield expected
        finally:
            del self._expected[task_id]

    def release_all(self) -> None:
        """See `Replies`."""
        self._is_leaving = True
        for expected in self._expected.values():
            expected.resolve(None)

    async def _look_for_missed(self) -> None:
        """After a lost connection: whose task ended meanwhile, by a query for many of them."""
        waiting = list(self._expected)
        for start in range(0, len(waiting), _LOOK_SIZE):
            finished = await self._store.finished_among(waiting[start : start + _LOOK_SIZE])
            for task_id in finished:
                self._on_reply(ReplyInRow(task_id))

    def _on_reply(self, reply: Reply | ReplyInRow) -> None:
        # A reply after the window is nobody's: the row has it.
        if expected := self._expected.get(reply.task_id):
            expected.resolve(reply)


class PerTaskReplies:
    """Replies by a queue for each caller, made and deleted again for every task."""

    loops: Sequence[Loop] = ()

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._expected: set[ExpectedReply] = set()
        self._is_leaving = False

    @asynccontextmanager
    async def expect(self, task_id: UUID) -> AsyncGenerator[ExpectedReply]:
        """Costs four round trips to the broker; without the broker no reply can come."""
        del task_id
        expected = ExpectedReply()
        async with AsyncExitStack() as stack:
            with suppress(BrokerUnavailableError):
                expected.reply_to = await stack.enter_async_context(
                    self._broker.temporary_reply_queue(expected.resolve)
                )
            self._expected.add(expected)
            stack.callback(self._expected.discard, expected)
            if self._is_leaving:
                expected.resolve(None)
            yield expected

    def release_all(self) -> None:
        """See `Replies`."""
        self._is_leaving = True
        for expected in self._expected:
            expected.resolve(None)


@asynccontextmanager
async def listening_replies(
    strategy: ReplyStrategy, *, broker: Broker, store: TaskStore
) -> AsyncGenerator[Replies]:
    """The replies of this process by the chosen strategy."""
    if strategy is ReplyStrategy.PER_TASK:
        yield PerTaskReplies(broker)
    else:
        replies = SharedReplies(store)
        async with replies.listening(broker):
            yield replies
