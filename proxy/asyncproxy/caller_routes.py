"""What a caller may ask about itself: /whoami."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import JSONResponse, Response

from asyncproxy import caller_schemas as schemas
from asyncproxy.access.principal import ANONYMOUS
from asyncproxy.access.rules import Action, Rule, Scope

if TYPE_CHECKING:
    from asyncproxy.access.access import Access

_NO_RULES = Rule(tasks=Scope.ALL, may=frozenset(Action))
"""Without an access file everyone may do everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerEndpoints:
    """What answers /whoami."""

    access: Access | None

    async def whoami(self, request: Request) -> Response:
        """Tell by which name, of which tenant and in which groups the caller is known here.

        And what it may do: of `rules` the first that fits an operation's name decides.
        """
        principal, rules = ANONYMOUS, (_NO_RULES,)
        if self.access is not None:
            principal, rules = self.access.rules_of(request)
        document = {
            "principal": principal.name or None,
            "tenant": principal.tenant or None,
            "groups": sorted(principal.groups),
            "rules": list(map(_shown, rules)),
        }
        return JSONResponse(document, headers={"Cache-Control": "no-store"})


def _shown(rule: Rule) -> dict[str, Any]:
    return {
        "operations": list(rule.operations),
        "tasks": rule.tasks,
        "may": [action for action in Action if action in rule.may],
    }


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
