"""One action on many tasks: counting them, asking for it, and how far it has come."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from asyncproxy import batch_schemas as schemas
from asyncproxy.access.access import guarded_route
from asyncproxy.access.principal import ANONYMOUS
from asyncproxy.access.rules import Action
from asyncproxy.batch_order import read_order
from asyncproxy.body import read_json_body
from asyncproxy.forwarded import PublicAddress
from asyncproxy.own_routes import add_route, refuse_repeated
from asynctasks.batch import Batch
from asynctasks.errors import BatchNotFoundError
from asynctasks.instants import rfc3339, utc_now
from asynctasks.task import new_task_id

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from asyncproxy.access.access import Access
    from asyncproxy.access.audit import Change
    from asyncproxy.access.principal import Principal
    from asyncproxy.batch_order import BatchOrder
    from asyncproxy.body_budget import BodyBudget
    from asynctasks.statements.batch_search import BatchSearch
    from asynctasks.statements.batches import Batches
    from asynctasks.statements.owners import Listed

MAX_ORDER_BYTES = 16_384
MOST_COUNTED = 100_000
"""Tasks of one status that a dry run counts."""
MAX_PAGE_SIZE = 1_000
_NO_STORE = {"Cache-Control": "no-store"}


class BatchesQuery(BaseModel):
    """The parameters of `GET /batches`."""

    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)] = 50
    page_token: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEndpoints:
    """What answers about batches. Docstrings of the public ones are for callers."""

    batches: Batches
    search: BatchSearch
    bodies: BodyBudget
    public: PublicAddress = field(default_factory=PublicAddress)
    access: Access | None = None

    async def make_batch(self, request: Request) -> Response:
        """Cancel, retry or delete all tasks that fit a filter, as it is done with one.

        With those alone that you may do it with now, and that were created before this call. The
        answer is the batch, which is carried out from now on. With `dryRun` nothing is done: the
        answer says how many tasks there are, by status.
        """
        with self.bodies.hold() as held:
            order = read_order(await read_json_body(request, held, max_bytes=MAX_ORDER_BYTES))
        if order.dry_run:
            return await self._count(order, self._listed(request, order))
        batch = _new_batch(order, self._principal(request))
        with self._audited(request, order.action) as change:
            if change is not None:
                change.operation = order.filter.operation
                change.target = " ".join([f"batch {batch.id}", *order.pairs])
            listed = self._listed(request, order)
            batch.listed = None if listed is None else list(map(asdict, listed))
            await self.batches.add(batch)
        document = batch_json(batch, prefix=self.public.prefix(request))
        return JSONResponse(document, 202, {"Location": document["links"]["self"], **_NO_STORE})

    async def list_batches(
        self, request: Request, asked: Annotated[BatchesQuery, Query()]
    ) -> Response:
        """List the batches that you have asked for, the newest first, in pages."""
        refuse_repeated(request)
        name = self._principal(request).name
        found = await self.batches.page(name, before=asked.page_token, size=asked.page_size)
        prefix = self.public.prefix(request)
        token = str(found[-1].id) if len(found) == asked.page_size else None
        shown = [batch_json(batch, prefix=prefix) for batch in found]
        return JSONResponse({"batches": shown, "nextPageToken": token}, headers=_NO_STORE)

    async def get_batch(self, request: Request, batch_id: str) -> Response:
        """Show a batch of yours: how many tasks it has found so far, and what came of them."""
        asked, name = _id_of(batch_id), self._principal(request).name
        return self._answer(request, await self.batches.find(asked, principal=name))

    async def cancel_batch(self, request: Request, batch_id: str) -> Response:
        """Let a batch of yours change no further task. What was done until now stays."""
        with self._audited(request, Action.CANCEL) as change:
            if change is not None:
                change.target = f"batch {batch_id[:64]}"
            asked, name = _id_of(batch_id), self._principal(request).name
            batch = await self.batches.cancel(asked, principal=name)
            if change is not None:
                change.target = batch.outcome
        return self._answer(request, batch)

    async def _count(self, order: BatchOrder, listed: tuple[Listed, ...] | None) -> Response:
        which = order.filter.which(listed)
        most = MOST_COUNTED
        counts = await self.search.count(order.action, which, most=most)
        document = {
            "action": order.action,
            "matched": sum(counts.values()),
            "statuses": counts,
            "isComplete": all(count < most for count in counts.values()),
        }
        return JSONResponse(document, headers=_NO_STORE)

    def _listed(self, request: Request, order: BatchOrder) -> tuple[Listed, ...] | None:
        """With which tasks the caller may do it; raises ForbiddenError where with none."""
        if self.access is None:
            return None
        action = Action(order.action)
        return self.access.acted_on(request, action, operation=order.filter.operation)

    def _principal(self, request: Request) -> Principal:
        return ANONYMOUS if self.access is None else self.access.principal_of(request)

    def _audited(self, request: Request, action: str) -> AbstractContextManager[Change | None]:
        """What it is done in; None where nobody asks who does it."""
        return nullcontext() if self.access is None else self.access.audited(request, action)

    def _answer(self, request: Request, batch: Batch) -> Response:
        document = batch_json(batch, prefix=self.public.prefix(request))
        return JSONResponse(document, headers=_NO_STORE)


def batch_json(batch: Batch, *, prefix: str) -> dict[str, Any]:
    """The batch as its callers see it; the addresses in it begin with the prefix."""
    address = f"{prefix}/batches/{batch.id}"
    return {
        "id": str(batch.id),
        "action": batch.action,
        "status": batch.status,
        "filter": batch.filter,
        "principal": batch.principal or None,
        "tenant": batch.tenant or None,
        "createdAt": rfc3339(batch.created_at),
        "finishedAt": batch.finished_at and rfc3339(batch.finished_at),
        "counts": batch.counts,
        "failures": batch.failures,
        "links": {"self": address, "cancel": f"{address}/cancel"},
    }


def _new_batch(order: BatchOrder, principal: Principal) -> Batch:
    now = utc_now()
    return Batch(
        id=new_task_id(),
        action=order.action,
        principal=principal.name,
        tenant=principal.tenant,
        filter=order.words,
        created_at=now,
        stepped_at=now,
    )


def _id_of(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise BatchNotFoundError from error


def batch_routes(endpoints: BatchEndpoints) -> APIRouter:
    """The routes of batches."""
    access = endpoints.access
    route = APIRoute if access is None else guarded_route(access)
    router = APIRouter(tags=["batches"], route_class=route)
    add_route(
        router,
        "POST",
        "/tasks:batch",
        endpoints.make_batch,
        summary="Act on many tasks",
        responses=schemas.MADE,
        status=202,
        openapi_extra=schemas.BODY,
    )
    for method, path, endpoint, summary, responses in (
        ("GET", "/batches", endpoints.list_batches, "List batches", schemas.BATCHES),
        ("GET", "/batches/{batch_id}", endpoints.get_batch, "Get a batch", schemas.BATCH),
        (
            "POST",
            "/batches/{batch_id}/cancel",
            endpoints.cancel_batch,
            "Cancel a batch",
            schemas.CANCEL,
        ),
    ):
        add_route(router, method, path, endpoint, summary=summary, responses=responses)
    return router
