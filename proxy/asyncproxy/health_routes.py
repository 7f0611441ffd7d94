"""Whether this proxy and what it depends on are there: /ping, /healthz, /readyz, /metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from asyncproxy import schemas
from asynctasks.metrics import CONTENT_TYPE, exposition

if TYPE_CHECKING:
    from asyncproxy.probes import Probe


@dataclass(frozen=True, slots=True)
class Parts:
    """What the proxy depends on, each asked in the background."""

    database: Probe
    broker: Probe


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

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(exposition(), headers={"Content-Type": CONTENT_TYPE})

    return router
