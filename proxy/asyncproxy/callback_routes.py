"""Who was told of a task's end: its deliveries, and the keys by which receivers verify them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from asyncproxy import schemas
from asyncproxy.access.access import guarded_route
from asyncproxy.access.rules import Action
from asyncproxy.forwarded import PublicAddress
from asyncproxy.own_routes import add_route
from asyncproxy.task_addresses import PATHS, task_address, task_id_of
from asynctasks.errors import DeliveryNotFoundError
from asynctasks.instants import rfc3339

if TYPE_CHECKING:
    from asyncproxy.access.access import Access
    from asynctasks.statements.deliveries import Deliveries, Delivery
    from asynctasks.statements.store import TaskStore

_NO_STORE = {"Cache-Control": "no-store"}
LONGEST_NUMBER = 9
"""Digits of a delivery's."""
KEYS_SECONDS = 300
"""How long receivers may keep the keys: a new one signs beside the old one for longer than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackEndpoints:
    """What answers about callbacks. Docstrings of the public ones are for callers."""

    store: TaskStore
    deliveries: Deliveries
    public_keys: dict[str, Any]
    """A JWK Set (RFC 7517)."""
    are_on: bool
    """Whether there is a URL that may be called."""
    public: PublicAddress = field(default_factory=PublicAddress)
    access: Access | None = None

    async def list_deliveries(self, request: Request, task_id: str) -> Response:
        """List who was told of the task's end, with each attempt; no receiver's answer is kept."""
        asked = task_id_of(task_id)
        if self.access is None:
            await self.store.owner_of(asked)
        else:
            await self.access.read(request, asked, store=self.store)
        found = await self.deliveries.of(asked)
        return JSONResponse({"deliveries": list(map(_shown, found))}, headers=_NO_STORE)

    async def redeliver(self, request: Request, task_id: str, number: str) -> Response:
        """Tell once more what this delivery has told; its receiver sees the same `webhook-id`."""
        asked = task_id_of(task_id)
        access = self.access
        leave = (
            nullcontext()
            if access is None
            else access.change(request, Action.RETRY, asked, store=self.store)
        )
        async with leave:
            if access is None:
                await self.store.owner_of(asked)
            if not (number.isascii() and number.isdecimal() and len(number) <= LONGEST_NUMBER):
                raise DeliveryNotFoundError(asked, number[:LONGEST_NUMBER])
            added = await self.deliveries.add_again(asked, number=int(number))
        location = task_address(asked, "deliveries", prefix=self.public.prefix(request))
        return JSONResponse(_shown(added), 202, {"Location": location, **_NO_STORE})

    async def jwks(self) -> Response:
        """Give the public keys by which receivers verify callbacks that are signed by `v1a`."""
        headers = {"Cache-Control": f"public, max-age={KEYS_SECONDS}"}
        return JSONResponse(
            self.public_keys, headers=headers, media_type="application/jwk-set+json"
        )


def _shown(delivery: Delivery) -> dict[str, Any]:
    return {
        "number": delivery.number,
        "id": delivery.delivery_id,
        "taskId": str(delivery.task_id),
        "url": delivery.url,
        "event": delivery.event,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "createdAt": rfc3339(delivery.created_at),
        "finishedAt": delivery.finished_at and rfc3339(delivery.finished_at),
        "nextAttemptAt": delivery.next_attempt_at and rfc3339(delivery.next_attempt_at),
    }


def delivery_routes(callbacks: CallbackEndpoints) -> APIRouter:
    """The routes about the deliveries of a task."""
    access = callbacks.access
    route = APIRoute if access is None else guarded_route(access)
    router = APIRouter(tags=["callbacks"], route_class=route)
    add_route(
        router,
        "GET",
        PATHS["deliveries"],
        callbacks.list_deliveries,
        summary="List who was told of a task's end",
        responses=schemas.DELIVERIES,
    )
    add_route(
        router,
        "POST",
        PATHS["redeliver"],
        callbacks.redeliver,
        summary="Tell of a task's end once more",
        responses=schemas.REDELIVER,
        status=202,
    )
    return router


def key_routes(callbacks: CallbackEndpoints) -> APIRouter:
    """What everyone may know."""
    router = APIRouter(tags=["callbacks"])
    add_route(
        router,
        "GET",
        "/.well-known/jwks.json",
        callbacks.jwks,
        summary="The public keys of callbacks",
        responses=schemas.JWKS,
    )
    return router
