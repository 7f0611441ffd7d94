"""Reading, cancelling, retrying and forgetting tasks."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode
from uuid import UUID  # noqa: TC003 - FastAPI reads it

from fastapi import APIRouter, Header, Query, Request
from fastapi.routing import APIRoute
from pydantic import Field, WithJsonSchema
from starlette.responses import Response

from asyncproxy import schemas
from asyncproxy.access.access import guarded_route
from asyncproxy.access.rules import Action
from asyncproxy.azure_view import azure_response
from asyncproxy.blob_response import with_body
from asyncproxy.caller import caller_of
from asyncproxy.events import events_response
from asyncproxy.forwarded import PublicAddress
from asyncproxy.own_routes import add_route, refuse_repeated
from asyncproxy.prefer import parse_prefer
from asyncproxy.problems import OverloadedError
from asyncproxy.task_addresses import PATHS, task_id_of
from asyncproxy.task_filter import TaskFilter
from asyncproxy.task_view import (
    accepted_response,
    etag,
    matches,
    not_modified,
    page_response,
    row_response,
    task_response,
    unfinished_response,
)
from asynctasks.broker.messages import Reply
from asynctasks.operations.operation import more_attempts
from asynctasks.response import Problem
from asynctasks.statements.owners import Owner
from asynctasks.statements.shown import View
from asynctasks.task import TaskStatus
from asynctasks.task_log import log_task

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from asyncproxy.access.access import Access, Grant
    from asyncproxy.access.quotas import Quotas
    from asyncproxy.admission import Admission
    from asyncproxy.holds import Holds
    from asyncproxy.watch import Watch
    from asynctasks.blobs.blobs import Blobs
    from asynctasks.broker.protocol import Broker
    from asynctasks.operations.operation import Operations
    from asynctasks.statements.quotas import Bound
    from asynctasks.statements.store import TaskStore
    from asynctasks.task import Task

MAX_PAGE_SIZE = 1_000

_AS_TEXT = WithJsonSchema({"type": "string"})
"""What a client sends, where FastAPI would tell of null and lists."""


class PageQuery(TaskFilter):
    """The parameters of `GET /tasks`."""

    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)] = 50
    page_token: UUID | None = None
    view: Annotated[
        View,
        Field(
            description="`summary`: without `arguments`, and without the `headers` and `body` of "
            "`response`. `full`: each task as it is shown by itself."
        ),
    ] = View.SUMMARY


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEndpoints:
    """What answers the requests below /tasks. Docstrings of the public ones are for callers.

    They stand in the OpenAPI document, and the names there are the operations' ids.
    """

    store: TaskStore
    watch: Watch
    admission: Admission
    broker: Broker
    blobs: Blobs
    operations: Operations
    holds: Holds
    max_wait_seconds: float
    list_seconds: float
    public: PublicAddress = field(default_factory=PublicAddress)
    access: Access | None = None
    quotas: Quotas | None = None
    """None where everyone may do everything."""

    async def get_task(
        self,
        request: Request,
        task_id: str,
        if_none_match: Annotated[str | None, Header(), _AS_TEXT] = None,
        prefer: Annotated[list[str] | None, Header(), _AS_TEXT] = None,
    ) -> Response:
        """Show a task: where it stands and, once it has finished, its response or its error.

        The answer is 200 for every known task, failed ones too. `Prefer: wait=N` holds the answer
        until the task changes, or differs from the ETag in `If-None-Match`, or N seconds are over.
        """
        asked, grant = await self._may_read(request, task_id)
        task = await self.store.find(asked)
        wait = parse_prefer(prefer or []).wait_seconds
        headers: dict[str, str] = {}
        if wait is not None and not task.status.is_final:
            seconds = min(wait, self.max_wait_seconds)
            headers["Preference-Applied"] = f"wait={seconds:g}"
            if if_none_match is None or matches(if_none_match, etag(task)):
                changed = self.watch.until_changed(task, seconds=seconds)
                task = await caller_of(request.scope).unless_gone(changed)
                if grant is not None:
                    grant.renew()
        if if_none_match is not None and matches(if_none_match, etag(task)):
            return Response(status_code=304, headers={"ETag": etag(task), **headers})
        return task_response(
            task,
            retry_after_seconds=self._retry_after(task),
            headers=headers,
            prefix=self.public.prefix(request),
            hold_of=self.holds.of,
        )

    async def get_response(
        self,
        request: Request,
        task_id: str,
        wait: Annotated[int | None, Query(ge=1, examples=[30])] = None,
        if_none_match: Annotated[str | None, Header(), _AS_TEXT] = None,
    ) -> Response:
        """Give the upstream's answer as the caller would have had it: status, headers and body.

        Where the upstream does not say how long it may be kept, it is not to be kept at all.
        `?wait=N` holds the answer until the task has finished. After N seconds it is a 303 to the
        same address, so that whoever follows redirects gets the answer in the end.
        """
        asked, grant = await self._may_read(request, task_id)
        task = await self.store.find(asked)
        if wait is not None and self.max_wait_seconds >= 1:
            if not task.status.is_final:
                task = await self._until_final(request, task, wait)
                if grant is not None:
                    grant.renew()
            if not task.status.is_final:
                return unfinished_response(
                    task,
                    redirect_wait_seconds=wait,
                    retry_after_seconds=1,
                    prefix=self.public.prefix(request),
                    hold_of=self.holds.of,
                )
        answer = row_response(
            task, {"Cache-Control": "no-store"}, prefix=self.public.prefix(request)
        )
        return await with_body(not_modified(answer, if_none_match), request, self.blobs)

    async def get_operation(self, request: Request, task_id: str) -> Response:
        """Show where a task stands as Azure's clients poll it, who follow `Operation-Location`."""
        asked, _ = await self._may_read(request, task_id)
        task = await self.store.find(asked)
        return azure_response(
            task, retry_after_seconds=self._retry_after(task), prefix=self.public.prefix(request)
        )

    async def list_tasks(self, request: Request, asked: Annotated[PageQuery, Query()]) -> Response:
        """List the tasks that you may read, the newest first, in pages."""
        refuse_repeated(request, many="label")
        listed = self.access and self.access.listed(request, operation=asked.operation)
        page = await self.store.page(
            asked.which(listed),
            before=asked.page_token,
            size=asked.page_size,
            seconds=self.list_seconds,
            view=asked.view,
        )
        next_page: str | None = None
        if page.following is not None:
            # A page's token is the id that the next one goes on below.
            asked_for = request.query_params.multi_items()
            others = [(name, value) for name, value in asked_for if name != "page_token"]
            query = urlencode([*others, ("page_token", str(page.following))])
            next_page = f"{request.url.path}?{query}"
        return await page_response(
            page,
            next_page=next_page,
            prefix=self.public.prefix(request),
            hold_of=self.holds.of,
        )

    async def get_events(
        self,
        request: Request,
        task_id: str,
        last_event_id: Annotated[str | None, Header(), _AS_TEXT] = None,
    ) -> Response:
        """Follow a task by server-sent events, one for each change, until it has finished."""
        asked, grant = await self._may_read(request, task_id)
        return events_response(
            await self.store.find(asked),
            self.watch,
            caller_of(request.scope),
            grant=grant,
            last_event_id=last_event_id,
            prefix=self.public.prefix(request),
            hold_of=self.holds.of,
        )

    async def cancel(self, request: Request, task_id: str) -> Response:
        """End a task: 200 where it was queued, 202 where its executor has to stop it."""
        async with self._changing(request, Action.CANCEL, task_id) as asked:
            task = await self.store.cancel(asked)
        if not task.status.is_final:
            return accepted_response(
                task, retry_after_seconds=1, prefix=self.public.prefix(request)
            )
        log_task(
            task.status.value,
            task_id=task.id,
            operation=task.operation,
            status=task.status.value,
            attempt=task.attempt,
            principal=task.principal,
            trace_id=task.trace_id,
        )
        if task.reply_to is not None and task.error is not None:
            reply = Reply(task.id, task.status, error=Problem(**task.error))
            await self.broker.reply(task.reply_to, reply)
        return task_response(task, retry_after_seconds=1, prefix=self.public.prefix(request))

    async def retry(self, request: Request, task_id: str) -> Response:
        """Run a failed, cancelled or expired task once more."""
        async with self._changing(request, Action.RETRY, task_id) as asked:
            found = await self.store.find(asked)
            task = await self.store.retry(
                found.id,
                more_attempts=more_attempts(self.operations, found.operation),
                bounds=self._bounds(found),
            )
        return accepted_response(
            task,
            retry_after_seconds=self._retry_after(task),
            prefix=self.public.prefix(request),
            hold_of=self.holds.of,
        )

    async def forget(self, request: Request, task_id: str) -> Response:
        """Forget a finished task, and its idempotency key with it."""
        async with self._changing(request, Action.DELETE, task_id) as asked:
            await self.store.delete(asked)
        return Response(status_code=204)

    async def _may_read(self, request: Request, task_id: str) -> tuple[UUID, Grant | None]:
        """The task that is asked for, and leave to read it where that has to be asked for."""
        asked = task_id_of(task_id)
        return asked, None if self.access is None else await self.access.read(
            request, asked, store=self.store
        )

    def _changing(
        self, request: Request, action: Action, task_id: str
    ) -> AbstractAsyncContextManager[UUID]:
        """What the task may be changed in."""
        asked = task_id_of(task_id)
        if self.access is None:
            return nullcontext(asked)
        return self.access.change(request, action, asked, store=self.store)

    async def _until_final(self, request: Request, task: Task, wait_seconds: float) -> Task:
        """The task when it has finished, or as it stands after so long.

        Raises OverloadedError where there is no room to wait: who follows a redirect at once would
        follow the next one at once, too.
        """
        if not self.watch.has_room and not self.watch.is_leaving:
            raise OverloadedError(
                "As many callers wait at this proxy as it takes.",
                retry_after_seconds=self._retry_after(task),
            )
        seconds = min(wait_seconds, self.max_wait_seconds)
        finishing = self.watch.until_final(task, seconds=seconds)
        return await caller_of(request.scope).unless_gone(finishing)

    def _bounds(self, task: Task) -> tuple[Bound, ...]:
        if self.quotas is None:
            return ()
        owner = Owner(
            operation=task.operation,
            principal=task.principal,
            tenant=task.tenant,
            is_of_asynctask=task.asynctask is not None,
        )
        return self.quotas.bounds_of_owner(owner)

    def _retry_after(self, task: Task) -> int:
        if task.shown_status is not TaskStatus.QUEUED:
            return 1
        rest_seconds = self.holds.rest_seconds(task.operation)
        return self.admission.retry_after_seconds(task.queue, at_least=rest_seconds)


def task_routes(tasks: TaskEndpoints) -> APIRouter:
    """The routes below /tasks."""
    access = tasks.access
    route = APIRoute if access is None else guarded_route(access)
    router = APIRouter(tags=["tasks"], route_class=route)
    for method, path, endpoint, summary, status, responses in (
        ("GET", "/tasks", tasks.list_tasks, "List tasks", 200, schemas.PAGE),
        ("GET", PATHS["self"], tasks.get_task, "Get a task", 200, schemas.TASK),
        (
            "GET",
            PATHS["response"],
            tasks.get_response,
            "Get a task's response",
            200,
            schemas.RESPONSE,
        ),
        (
            "GET",
            PATHS["operation"],
            tasks.get_operation,
            "Get a task as Azure's clients poll it",
            200,
            schemas.AZURE,
        ),
        ("GET", PATHS["events"], tasks.get_events, "Follow a task", 200, schemas.EVENTS),
        ("POST", PATHS["cancel"], tasks.cancel, "Cancel a task", 200, schemas.CANCEL),
        ("POST", PATHS["retry"], tasks.retry, "Retry a task", 202, schemas.RETRY),
        ("DELETE", PATHS["self"], tasks.forget, "Forget a task", 204, schemas.FORGET),
    ):
        add_route(
            router,
            method,
            path,
            endpoint,
            summary=summary,
            responses=responses,
            status=status,
            to_head=endpoint != tasks.get_events,
        )
    for path in ("/task/{task_id}", "/task/{task_id}/"):
        router.add_api_route(path, tasks.get_task, methods=["GET", "HEAD"], include_in_schema=False)
    return router
