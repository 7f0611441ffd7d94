"""What a caller may ask about itself: /whoami."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import JSONResponse, Response

from asyncproxy import schemas
from asyncproxy.access.principal import ANONYMOUS

if TYPE_CHECKING:
    from asyncproxy.access.access import Access


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerEndpoints:
    """What answers /whoami."""

    access: Access | None

    async def whoami(self, request: Request) -> Response:
        """Tell by which name, of which tenant and in which groups the caller is known here."""
        principal = ANONYMOUS if self.access is None else self.access.principal_of(request)
        document = {
            "principal": principal.name or None,
            "tenant": principal.tenant or None,
            "groups": sorted(principal.groups),
        }
        return JSONResponse(document, headers={"Cache-Control": "no-store"})


def caller_routes(callers: CallerEndpoints) -> APIRouter:
    """The routes about the caller itself."""
    router = APIRouter(tags=["callers"])
    router.add_api_route(
        "/whoami",
        callers.whoami,
        operation_id="whoami",
        summary="Who calls",
        responses=schemas.WHOAMI,
    )
    router.add_api_route("/whoami", callers.whoami, methods=["HEAD"], include_in_schema=False)
    return router
