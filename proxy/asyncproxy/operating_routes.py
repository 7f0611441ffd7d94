"""How queues, operations and limits stand, and what an operator does with them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from asyncproxy import operating_schemas as schemas
from asyncproxy.access.access import guarded_route
from asyncproxy.access.principal import ANONYMOUS
from asyncproxy.body import read_json_body
from asyncproxy.overview import sharing
from asyncproxy.own_routes import add_route
from asyncproxy.problems import LimitNotFoundError, OperationNotFoundError, QueueNotFoundError
from asynctasks.limit_rows import PausedKind
from asynctasks.limits.limit_change import read_change
from asynctasks.statements.limit_states import limits_of

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from asyncproxy.access.access import Access
    from asyncproxy.access.audit import Change
    from asyncproxy.body_budget import BodyBudget
    from asyncproxy.overview import Overview, OverviewReader
    from asynctasks.errors import AsyncApiProxyError
    from asynctasks.limits.gates import Gates
    from asynctasks.operations.operation import Operations
    from asynctasks.statements.limit_states import LimitStates

MAX_CHANGE_BYTES = 4_096
_NOT_FOUND: dict[PausedKind, type[AsyncApiProxyError]] = {
    PausedKind.QUEUE: QueueNotFoundError,
    PausedKind.OPERATION: OperationNotFoundError,
    PausedKind.LIMIT: LimitNotFoundError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingEndpoints:
    """What answers the requests below /queues, /operations and /limits.

    Docstrings of the public ones are for callers, as in `TaskEndpoints`.
    """

    states: LimitStates
    overviews: OverviewReader
    gates: Gates
    operations: Operations
    bodies: BodyBudget
    access: Access | None = None

    async def list_queues(self, request: Request) -> Response:
        """List the queues: how many tasks wait, are held and run on each, and whether it is paused.

        It tells of everyone's tasks, so callers who may not read all of a queue do not see it.
        """
        overview = await self._overview()
        kind = PausedKind.QUEUE
        shown = [name for name in overview.queues if self._sees(request, overview, kind, name)]
        return _json({"queues": [overview.queue(name) for name in shown]})

    async def pause_queue(self, request: Request, name: str) -> Response:
        """Let no task of a queue start until it is resumed. What runs goes on, calls are taken."""
        return await self._pause(request, PausedKind.QUEUE, name)

    async def resume_queue(self, request: Request, name: str) -> Response:
        """Let the tasks of a paused queue start again."""
        return await self._resume(request, PausedKind.QUEUE, name)

    async def pause_operation(self, request: Request, name: str) -> Response:
        """Let no task of an operation start until it is resumed. What runs goes on."""
        return await self._pause(request, PausedKind.OPERATION, name)

    async def resume_operation(self, request: Request, name: str) -> Response:
        """Let the tasks of a paused operation start again."""
        return await self._resume(request, PausedKind.OPERATION, name)

    async def list_limits(self, request: Request) -> Response:
        """List the limits: what each bounds, what of that is used, and whether its upstream is up.

        It tells of everyone's tasks, so callers who may not read all that share a limit do not see
        it.
        """
        overview = await self._overview()
        kind = PausedKind.LIMIT
        shown = [name for name in overview.limits if self._sees(request, overview, kind, name)]
        return _json({"limits": [overview.limit(name) for name in shown]})

    async def get_limit(self, request: Request, name: str) -> Response:
        """Show a limit: what it bounds, what of that is used, and whether its upstream is up."""
        overview = await self._overview()
        if name not in overview.limits or not self._sees(request, overview, PausedKind.LIMIT, name):
            raise LimitNotFoundError
        return _json(overview.limit(name))

    async def change_limit(self, request: Request, name: str) -> Response:
        """Set what a limit bounds in place of what the operations file says, for all executors.

        The body is a merge patch (RFC 7396): null takes the file's again, what is left out stays.
        """
        operations = sharing(self.operations, PausedKind.LIMIT, name)
        with self._operating(request, "change", PausedKind.LIMIT, name, operations) as change:
            with self.bodies.hold() as held:
                given = await read_json_body(
                    request, held, max_bytes=MAX_CHANGE_BYTES, media_types=schemas.CHANGE_TYPES
                )
            asked = read_change(given)
            if change is not None:
                change.target = f"{change.target} {asked}"
            await self.states.change(limits_of(self.operations.values())[name], asked)
        return await self._changed(PausedKind.LIMIT, name)

    async def pause_limit(self, request: Request, name: str) -> Response:
        """Let no task that keeps a limit start until it is resumed. What runs goes on."""
        return await self._pause(request, PausedKind.LIMIT, name)

    async def resume_limit(self, request: Request, name: str) -> Response:
        """Let the tasks that keep a paused limit start again, as it bounds them."""
        return await self._resume(request, PausedKind.LIMIT, name)

    async def _pause(self, request: Request, kind: PausedKind, name: str) -> Response:
        operations = sharing(self.operations, kind, name)
        with self._operating(request, "pause", kind, name, operations) as change:
            by = ANONYMOUS if change is None else change.principal
            await self.states.pause(kind, name, by=by.name)
        return await self._changed(kind, name)

    async def _resume(self, request: Request, kind: PausedKind, name: str) -> Response:
        operations = await self._sharing(kind, name)
        with self._operating(request, "resume", kind, name, operations):
            await self.states.resume(kind, name)
        return await self._changed(kind, name)

    async def _sharing(self, kind: PausedKind, name: str) -> list[str]:
        """The operations whose tasks share it, for whoever may operate them to resume it.

        A pause that outlives its place in the file is resumed by who may operate all of them; one
        of an operation by who may operate that.
        """
        if operations := sharing(self.operations, kind, name):
            return operations
        pauses = (await self.states.read(())).pauses
        if pauses.of(kind, name) is None:
            return []
        return [name] if kind is PausedKind.OPERATION else list(self.operations)

    @contextmanager
    def _operating(
        self,
        request: Request,
        action: str,
        kind: PausedKind,
        name: str,
        operations: Collection[str],
    ) -> Generator[Change | None]:
        """Leave to do that within the context; None where nobody asks who does it."""
        unknown = _NOT_FOUND[kind]()
        if self.access is None:
            if not operations:
                raise unknown
            yield None
            return
        target = f"{kind} {name}"
        with self.access.operate(request, action, target, operations, hidden=unknown) as change:
            yield change

    async def _changed(self, kind: PausedKind, name: str) -> Response:
        """How it stands now that it was changed."""
        await self.gates.refresh()
        overview = await self._overview()
        match kind:
            case PausedKind.QUEUE:
                return _json(overview.queue(name))
            case PausedKind.OPERATION:
                return _json(overview.operation(name))
            case PausedKind.LIMIT:
                return _json(overview.limit(name))

    async def _overview(self) -> Overview:
        return await self.overviews.read(self.operations)

    def _sees(self, request: Request, overview: Overview, kind: PausedKind, name: str) -> bool:
        if self.access is None:
            return True
        return self.access.sees(request, overview.operations_of(kind, name))


def operating_routes(endpoints: OperatingEndpoints) -> APIRouter:
    """The routes below /queues, /operations and /limits."""
    access = endpoints.access
    route = APIRoute if access is None else guarded_route(access)
    router = APIRouter(
        tags=["operating"], route_class=route, dependencies=[Depends(_refuse_slash_of_a_name)]
    )
    for method, path, endpoint, summary, responses in (
        ("GET", "/queues", endpoints.list_queues, "List queues", schemas.QUEUES),
        ("POST", "/queues/{name}/pause", endpoints.pause_queue, "Pause a queue", schemas.QUEUE),
        ("POST", "/queues/{name}/resume", endpoints.resume_queue, "Resume a queue", schemas.QUEUE),
        (
            "POST",
            "/operations/{name}/pause",
            endpoints.pause_operation,
            "Pause an operation",
            schemas.OPERATION,
        ),
        (
            "POST",
            "/operations/{name}/resume",
            endpoints.resume_operation,
            "Resume an operation",
            schemas.OPERATION,
        ),
        ("GET", "/limits", endpoints.list_limits, "List limits", schemas.LIMITS),
        ("GET", "/limits/{name}", endpoints.get_limit, "Get a limit", schemas.LIMIT),
        ("PATCH", "/limits/{name}", endpoints.change_limit, "Change a limit", schemas.CHANGED),
        ("POST", "/limits/{name}/pause", endpoints.pause_limit, "Pause a limit", schemas.PAUSED),
        ("POST", "/limits/{name}/resume", endpoints.resume_limit, "Resume a limit", schemas.PAUSED),
    ):
        add_route(
            router,
            method,
            path,
            endpoint,
            summary=summary,
            responses=responses,
            openapi_extra=schemas.CHANGE_BODY if method == "PATCH" else None,
        )
    return router


async def _refuse_slash_of_a_name(request: Request) -> None:
    """%2F is a slash of a name, which none has, and no slash of the path."""
    if b"%2f" in request.scope.get("raw_path", b"").lower():
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _json(document: Any) -> Response:
    headers = {"Cache-Control": "no-store"}
    return JSONResponse(document, headers=headers)
