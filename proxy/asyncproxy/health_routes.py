"""Whether this proxy and what it depends on are there, as callers may know it: /ping."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from asyncproxy import schemas
from asynctasks.instants import rfc3339

if TYPE_CHECKING:
    from asyncproxy.probes import Probe
    from asyncproxy.stranded import StrandedQueues


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthEndpoints:
    """What answers /ping, by what the last probes have found."""

    database: Probe
    broker: Probe
    stranded: StrandedQueues
    has_access_file: bool

    async def ping(self) -> Response:
        """Tell whether the proxy, its database and its broker answer, and how fast.

        Without its broker the proxy still accepts tasks; without its database it cannot (503).
        """
        started = time.perf_counter()
        findings = {"database": self.database.finding, "broker": self.broker.finding}
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
                "checkedAt": rfc3339(finding.checked_at),
                **({"detail": finding.detail} if finding.detail else {}),
            }
            if finding.response_time_ms is not None:
                timings.append(f"{name};dur={finding.response_time_ms}")
        document["access"] = "restricted" if self.has_access_file else "open"
        document["strandedQueues"] = [asdict(queue) for queue in self.stranded.found]
        headers = {"Server-Timing": ", ".join(timings), "Cache-Control": "no-store"}
        return JSONResponse(document, 200 if available else 503, headers)


def health_routes(health: HealthEndpoints) -> APIRouter:
    """Whether this proxy and what it depends on are there."""
    router = APIRouter(tags=["health"])
    summary = "Availability and response times"
    router.add_api_route(
        "/ping", health.ping, operation_id="ping", summary=summary, responses=schemas.PING
    )
    router.add_api_route("/ping", health.ping, methods=["HEAD"], include_in_schema=False)
    return router
