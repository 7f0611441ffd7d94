"""Reading, cancelling, retrying and forgetting tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response

from asyncproxy import schemas
from asyncproxy.events import events_response
from asyncproxy.prefer import parse_prefer
from asyncproxy.task_view import (
    accepted_response,
    etag,
    page_response,
    row_response,
    task_response,
)
from asynctasks.broker.messages import Reply
from asynctasks.errors import TaskNotFoundError
from asynctasks.response import Problem
from asynctasks.statements.store import Filter
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from asyncproxy.admission import Admission
    from asyncproxy.settings import ProxySettings
    from asyncproxy.watch import Watch
    from asynctasks.broker.protocol import Broker
    from asynctasks.operations.operation import Operations
    from asynctasks.statements.store import TaskStore
    from asynctasks.task import Task

MAX_PAGE_SIZE = 1_000
_LABEL = r"""^[^="\\\x00]+=[^=\x00]*$"""
"""What neither database takes for a part of a path or for no text at all."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """What the routes below use."""

    store: TaskStore
    watch: Watch
    admission: Admission
    broker: Broker
    operations: Operations
    settings: ProxySettings

    async def show(self, task_id: str, if_none_match: str | None, prefer: list[str]) -> Response:
        """The task; with `Prefer: wait=N` when it differs from the ETag given, or has waited."""
        task = await self.store.find(_parsed(task_id))
        wait = parse_prefer(prefer).wait_seconds
        headers: dict[str, str] = {}
        if wait is not None and not task.status.is_final:
            seconds = min(wait, self.settings.max_wait_seconds)
            headers["Preference-Applied"] = f"wait={seconds:g}"
            if if_none_match is None or _matches(if_none_match, etag(task)):
                task = await self.watch.until_changed(task, seconds=seconds)
        if if_none_match is not None and _matches(if_none_match, etag(task)):
            return Response(status_code=304, headers={"ETag": etag(task), **headers})
        return task_response(task, retry_after_seconds=self._retry_after(task), headers=headers)

    async def cancel(self, task_id: str) -> Response:
        """End the task: at once where it is queued, else its executor does within 2 s."""
        task = await self.store.cancel(_parsed(task_id))
        if not task.status.is_final:
            return accepted_response(task, retry_after_seconds=1)
        if task.reply_to is not None and task.error is not None:
            reply = Reply(task.id, task.status, error=Problem(**task.error))
            await self.broker.reply(task.reply_to, reply)
        return task_response(task, retry_after_seconds=1)

    async def retry(self, task_id: str) -> Response:
        """Queue the task anew, for as many attempts as its operation allows."""
        found = await self.store.find(_parsed(task_id))
        operation = self.operations.get(found.operation)
        task = await self.store.retry(
            found.id, more_attempts=operation.retry.max_attempts if operation else 1
        )
        return accepted_response(task, retry_after_seconds=self._retry_after(task))

    async def page(
        self, request: Request, which: Filter, size: int, before: UUID | None
    ) -> Response:
        """The newest tasks first; a page's token is the id that the next one goes on below."""
        tasks = await self.store.page(which, before=before, size=size)
        if len(tasks) < size:
            return page_response(tasks, next_page=None, token=None)
        following = str(tasks[-1].id)
        query = {**request.query_params, "page_token": following}
        return page_response(
            tasks, next_page=f"{request.url.path}?{urlencode(query)}", token=following
        )

    def _retry_after(self, task: Task) -> int:
        if task.status is not TaskStatus.QUEUED:
            return 1
        return self.admission.retry_after_seconds(task.queue)


def task_routes(tasks: Tasks) -> APIRouter:
    """The routes below /tasks."""
    router = APIRouter(tags=["tasks"])

    async def get_task(
        task_id: str,
        if_none_match: Annotated[str | None, Header()] = None,
        prefer: Annotated[list[str] | None, Header()] = None,
    ) -> Response:
        """Show a task: where it stands and, once it has finished, its response or its error.

        The answer is 200 for every known task, failed ones too. `Prefer: wait=N` holds the answer
        until the task changes, or differs from the ETag in `If-None-Match`, or N seconds are over.
        """
        return await tasks.show(task_id, if_none_match, prefer or [])

    async def get_response(task_id: str) -> Response:
        """Give the upstream's answer as the caller would have had it: status, type and body."""
        return row_response(await tasks.store.find(_parsed(task_id)))

    async def list_tasks(
        request: Request,
        *,
        status: TaskStatus | None = None,
        operation: Annotated[str | None, Query(pattern=r"^[^\x00]*$")] = None,
        label: Annotated[str | None, Query(pattern=_LABEL, examples=["team=a"])] = None,
        created_after: Annotated[datetime, AfterValidator(_in_utc)] | None = None,
        page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = 50,
        page_token: UUID | None = None,
    ) -> Response:
        """List tasks, the newest first, in pages."""
        name, _, value = (label or "").partition("=")
        which = Filter(
            status=status,
            operation=operation,
            label=(name, value) if label else None,
            created_after=created_after,
        )
        return await tasks.page(request, which, page_size, page_token)

    async def get_events(
        task_id: str, last_event_id: Annotated[str | None, Header()] = None
    ) -> Response:
        """Follow a task by server-sent events, one for each change, until it has finished."""
        task = await tasks.store.find(_parsed(task_id))
        return events_response(task, tasks.watch, last_event_id=last_event_id)

    async def cancel(task_id: str) -> Response:
        """End a task: 200 where it was queued, 202 where its executor has to stop it."""
        return await tasks.cancel(task_id)

    async def retry(task_id: str) -> Response:
        """Run a failed, cancelled or expired task once more."""
        return await tasks.retry(task_id)

    async def forget(task_id: str) -> Response:
        """Forget a finished task, and its idempotency key with it."""
        await tasks.store.delete(_parsed(task_id))
        return Response(status_code=204)

    router.get("/tasks", summary="List tasks", responses=schemas.PAGE)(list_tasks)
    router.get("/tasks/{task_id}", summary="Get a task", responses=schemas.TASK)(get_task)
    router.get("/task/{task_id}", include_in_schema=False)(get_task)
    router.get(
        "/tasks/{task_id}/response", summary="Get a task's response", responses=schemas.RESPONSE
    )(get_response)
    router.get("/tasks/{task_id}/events", summary="Follow a task", responses=schemas.EVENTS)(
        get_events
    )
    router.post("/tasks/{task_id}/cancel", summary="Cancel a task", responses=schemas.CANCEL)(
        cancel
    )
    router.post("/tasks/{task_id}/retry", summary="Retry a task", responses=schemas.RETRY)(retry)
    router.delete("/tasks/{task_id}", summary="Forget a task", responses=schemas.FORGET)(forget)
    return router


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("expected a time zone, such as Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is beyond the calendar") from None


def _parsed(task_id: str) -> UUID:
    try:
        return UUID(task_id)
    except ValueError as error:
        raise TaskNotFoundError(task_id[:64]) from error


def _matches(header: str, tag: str) -> bool:
    """If-None-Match by weak comparison (RFC 9110 §13.1.2)."""
    given = {value.strip().removeprefix("W/") for value in header.split(",")}
    return tag in given or "*" in given
