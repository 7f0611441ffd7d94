"""Submits a call as a task: commit, then publish, then wait for the reply."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from asynctasks.errors import BrokerUnavailableError, DatabaseUnavailableError
from asynctasks.instants import utc_now
from asynctasks.messages import Reply, TaskMessage
from asynctasks.store import NewTask
from asynctasks.task import Task, new_task_id

if TYPE_CHECKING:
    from uuid import UUID

    from asyncproxy.replies import ExpectedReply, Replies
    from asyncproxy.settings import ProxySettings
    from asynctasks.broker import Broker
    from asynctasks.operation import Operation
    from asynctasks.sealing import Sealing
    from asynctasks.store import TaskStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Submission:
    """Submits calls for one proxy process."""

    store: TaskStore
    broker: Broker
    replies: Replies
    sealing: Sealing
    settings: ProxySettings

    async def submit(
        self, operation: Operation, arguments: Any, *, window_seconds: float
    ) -> Reply | Task:
        """The executor's reply if it came within the window, else the task as it stands then.

        Raises ArgumentsInvalidError, DatabaseUnavailableError.
        """
        window_ends = time.monotonic() + window_seconds
        operation.schema.check(arguments)
        open_arguments, secrets = operation.schema.part(arguments)
        new = {
            "id": new_task_id(),
            "operation": operation.name,
            "queue": operation.queue,
            "arguments": open_arguments,
            "sealed_arguments": self.sealing.seal(secrets),
            "max_attempts": operation.retry.max_attempts,
            "created_at": utc_now(),
        }
        if window_seconds <= 0:
            task = self._new_task(new, reply_to=None)
            await self._store_and_publish(task)
            return _as_accepted(task)
        async with self.replies.expect(new["id"]) as expected:
            task = self._new_task(new, reply_to=expected.reply_to)
            if not await self._store_and_publish(task) or expected.reply_to is None:
                return _as_accepted(task)
            return await self._wait(task, expected, window_ends)

    def _new_task(self, values: dict[str, Any], *, reply_to: str | None) -> NewTask:
        # With the broker away the relay may publish as soon as it is back.
        grace = self.settings.publish_grace_seconds if self.broker.is_connected else 0.0
        return NewTask(**values, reply_to=reply_to, publish_in_seconds=grace)

    async def _store_and_publish(self, task: NewTask) -> bool:
        """Commit the row, then publish; False where the relay has to publish later."""
        try:
            async with asyncio.timeout(self.settings.write_seconds):
                await self.store.add(task)
        except TimeoutError as error:
            raise DatabaseUnavailableError(
                f"The task database did not commit within {self.settings.write_seconds:g} s; "
                "the task may have been stored all the same."
            ) from error
        try:
            await self.broker.publish(task.queue, TaskMessage(task.id, task.operation))
        except BrokerUnavailableError as error:
            log.warning("publish left to the relay", task_id=str(task.id), reason=str(error))
            if task.publish_in_seconds > 0:
                await self._make_due(task.id)
            return False
        return True

    async def _make_due(self, task_id: UUID) -> None:
        try:
            await self.store.make_due([task_id])
        except DatabaseUnavailableError as error:
            # Then it is due when its grace has passed.
            log.warning("task not made due", task_id=str(task_id), reason=str(error))

    async def _wait(
        self, task: NewTask, expected: ExpectedReply, window_ends: float
    ) -> Reply | Task:
        reply = await expected.wait(window_ends - time.monotonic())
        if isinstance(reply, Reply):
            return reply
        try:
            return await self.store.find(task.id)
        except DatabaseUnavailableError:
            # It was committed, so the caller gets its id whatever has happened since.
            return _as_accepted(task)


def _as_accepted(task: NewTask) -> Task:
    """The row as it was stored a moment ago."""
    values = {name: value for name, value in vars(task).items() if name in Task.model_fields}
    return Task(**values)
