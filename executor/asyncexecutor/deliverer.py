"""Runs deliveries: tells a URL of the end of another task, as the delivery's arguments have it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asyncexecutor.callback_calls import Delivered, Gone, Wait
from asyncexecutor.failures import CallbackFailedError, CallbackGoneError
from asyncexecutor.runner import Answer
from asynctasks.callbacks.event import TaskEnd, event_body
from asynctasks.errors import TaskNotFoundError
from asynctasks.response import Response
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from asyncexecutor.callback_calls import CallbackCalls
    from asyncexecutor.runner import Attempt
    from asynctasks.statements.store import TaskStore


@dataclass(frozen=True, slots=True)
class Deliverer:
    """What runs the tasks of the operation `callback`."""

    calls: CallbackCalls
    store: TaskStore
    public_url: str
    """What the addresses in an event begin with; empty where it is not known."""

    async def run(self, attempt: Attempt) -> Answer:
        """See `Runner`. The answer is its status alone."""
        told = attempt.arguments
        includes_response = told["include"] == "response"
        response = await self._response(told["task"]) if includes_response else None
        delivery_id = told.get("deliveryId", str(attempt.task_id))
        body = event_body(
            _end(told["task"], response, public_url=self.public_url),
            delivery_id=delivery_id,
            source=f"{self.public_url}/operations/{told['task']['operation']}",
            includes_response=includes_response,
        )
        outcome = await self.calls.make(
            told["url"], delivery_id=delivery_id, body=body, trace=attempt.trace
        )
        match outcome:
            case Delivered(status):
                return Answer(_nothing(status))
            case Gone():
                raise CallbackGoneError("The receiver is gone (410).", response=_nothing(410))
            case Wait(status, seconds):
                raise CallbackFailedError(
                    f"The receiver answered {status}.",
                    response=_nothing(status),
                    retry_after_seconds=seconds,
                )
            case again:
                raise CallbackFailedError(
                    again.reason,
                    response=None if again.status is None else _nothing(again.status),
                )

    async def _response(self, told: dict[str, Any]) -> Response | None:
        """That of the end that is told of: the task may have been forgotten or run once more."""
        try:
            task = await self.store.find(UUID(told["id"]))
        except TaskNotFoundError:
            return None
        return task.response if task.version == told["version"] else None


def _end(told: dict[str, Any], response: Response | None, *, public_url: str) -> TaskEnd:
    address = f"{public_url}/tasks/{told['id']}"
    return TaskEnd(
        task_id=UUID(told["id"]),
        operation=told["operation"],
        status=TaskStatus(told["status"]),
        labels=told["labels"],
        attempt=told["attempt"],
        created_at=datetime.fromisoformat(told["createdAt"]),
        finished_at=datetime.fromisoformat(told["finishedAt"]),
        links={"self": address, "response": f"{address}/response"},
        response=response,
    )


def _nothing(status: int) -> Response:
    return Response(status, "", b"")
