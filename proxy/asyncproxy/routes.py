"""The proxy's own routes: tasks, availability, health."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header
from starlette.responses import JSONResponse, Response

from asyncproxy import schemas
from asyncproxy.task_view import etag, row_response, task_response
from asynctasks.errors import TaskNotFoundError

if TYPE_CHECKING:
    from asyncproxy.probes import Probe
    from asynctasks.store import TaskStore


@dataclass(frozen=True, slots=True)
class Parts:
    """What the proxy depends on, each asked in the background."""

    database: Probe
    broker: Probe


def task_routes(store: TaskStore) -> APIRouter:
    """Reading tasks."""
    router = APIRouter(tags=["tasks"])

    async def get_task(
        task_id: str, if_none_match: Annotated[str | None, Header()] = None
    ) -> Response:
        """Show a task: where it stands and, once it has finished, its response or its error.

        The answer is 200 for every known task, failed ones too.
        """
        task = await store.find(_parsed(task_id))
        if if_none_match is not None and _matches(if_none_match, etag(task)):
            return Response(status_code=304, headers={"ETag": etag(task)})
        return task_response(task)

    async def get_task_response(task_id: str) -> Response:
        """Give the upstream's answer as the caller would have had it: status, type and body."""
        return row_response(await store.find(_parsed(task_id)))

    router.get("/tasks/{task_id}", summary="Get a task", responses=schemas.TASK)(get_task)
    router.get("/task/{task_id}", include_in_schema=False)(get_task)
    router.get(
        "/tasks/{task_id}/response", summary="Get a task's response", responses=schemas.RESPONSE
    )(get_task_response)
    return router


def health_routes(parts: Parts) -> APIRouter:
    """Whether this proxy and what it depends on are there."""
    router = APIRouter(tags=["health"])

    @router.get("/ping", summary="Availability and response times", responses=schemas.PING)
    async def ping() -> Response:  # pyright: ignore[reportUnusedFunction]
        """Tell whether the proxy, its database and its broker answer, and how fast.

        Without its broker the proxy still accepts tasks; without its database it cannot (503).
        """
        started = time.perf_counter()
        findings = {"database": parts.database.finding, "broker": parts.broker.finding}
        available = findings["database"].available
        status = "unavailable"
        if available:
            status = "ok" if findings["broker"].available else "degraded"
        own_ms = round((time.perf_counter() - started) * 1000, 3)
        timings = [f"proxy;dur={own_ms}"]
        document: dict[str, Any] = {
            "status": status,
            "proxy": {"available": True, "responseTimeMs": own_ms},
        }
        for name, finding in findings.items():
            document[name] = {
                "available": finding.available,
                "responseTimeMs": finding.response_time_ms,
                "checkedAt": finding.checked_at.isoformat().replace("+00:00", "Z"),
                **({"detail": finding.detail} if finding.detail else {}),
            }
            if finding.response_time_ms is not None:
                timings.append(f"{name};dur={finding.response_time_ms}")
        headers = {"Server-Timing": ", ".join(timings), "Cache-Control": "no-store"}
        return JSONResponse(document, 200 if available else 503, headers)

    @router.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return {"status": "ok"}

    @router.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:  # pyright: ignore[reportUnusedFunction]
        finding = parts.database.finding
        return JSONResponse(
            {"ready": finding.available, "detail": finding.detail},
            200 if finding.available else 503,
        )

    return router


def _parsed(task_id: str) -> UUID:
    try:
        return UUID(task_id)
    except ValueError as error:
        raise TaskNotFoundError(task_id[:64]) from error


def _matches(header: str, tag: str) -> bool:
    """If-None-Match by weak comparison (RFC 9110 §13.1.2)."""
    given = {value.strip().removeprefix("W/") for value in header.split(",")}
    return tag in given or "*" in given
