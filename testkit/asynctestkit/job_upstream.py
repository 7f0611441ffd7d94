"""An upstream that is asynchronous itself, in each of the ways that docs/recipes/ tell of.

Whoever follows it is counted: what was started, by which keys, polled and ended.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from asynctestkit.inside import serving_app

RESULTS = "http://www.opengis.net/def/rel/ogc/1.0/results"


@dataclass
class Job:
    """One piece of work: it has ended after so many polls."""

    polls_left: int
    fails: bool = False

    @property
    def is_done(self) -> bool:
        return self.polls_left <= 0


@dataclass
class JobUpstream:
    """Starts a job with each call; a test may let polls be refused, or never end."""

    url: str = ""
    polls: int = 2
    fails: bool = False
    keys: list[str] = field(default_factory=list[str])
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    polled: Counter[str] = field(default_factory=Counter[str])
    cancelled: list[str] = field(default_factory=list[str])
    refusals: list[int] = field(default_factory=list[int])
    """Statuses with which the next polls are answered."""
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """Of each poll."""
    retry_after: str | None = None
    address: str | None = None
    """In place of the one of the job."""
    filler: str = ""
    """What makes a result large."""
    held: asyncio.Event | None = None
    """Until it is set no poll is answered."""

    def start(self, request: web.Request) -> str:
        self.keys.append(request.headers["Idempotency-Key"])
        name = str(len(self.keys))
        self.jobs[name] = Job(self.polls, self.fails)
        return name

    async def poll(self, request: web.Request) -> Job:
        name = request.match_info["job"]
        self.polled[name] += 1
        self.headers.append(dict(request.headers))
        if self.held is not None:
            await self.held.wait()
        if self.refusals:
            refusal = web.Response(status=self.refusals.pop(0))
            raise _RefusedError(refusal)
        job = self.jobs[name]
        job.polls_left -= 1
        return job

    async def cancel(self, request: web.Request) -> web.Response:
        self.cancelled.append(request.match_info["job"])
        return web.Response(status=204)

    def result(self, request: web.Request) -> dict[str, Any]:
        result = {"result": request.match_info["job"]}
        return {**result, "filler": self.filler} if self.filler else result


class _RefusedError(Exception):
    def __init__(self, answer: web.Response) -> None:
        super().__init__()
        self.answer = answer


@asynccontextmanager
async def job_upstream() -> AsyncGenerator[JobUpstream]:
    served = JobUpstream()
    app = web.Application(middlewares=[_refusing])
    for routes in (_azure, _aip, _ogc, _redirecting):
        routes(app, served)
    async with serving_app(app) as served.url:
        yield served


@web.middleware
async def _refusing(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        return await handler(request)
    except _RefusedError as refused:
        return refused.answer


def _azure(app: web.Application, served: JobUpstream) -> None:
    async def start(request: web.Request) -> web.Response:
        job = served.start(request)
        address = served.address or f"/operations/{job}?api-version=1"
        headers = {"Operation-Location": address}
        if served.retry_after is not None:
            headers["Retry-After"] = served.retry_after
        return web.Response(status=202, headers=headers)

    async def poll(request: web.Request) -> web.Response:
        job = await served.poll(request)
        name = request.match_info["job"]
        if not job.is_done:
            return web.json_response({"status": "running", "percentComplete": 40})
        if job.fails:
            error = {"code": "BadScan", "message": "no text"}
            return web.json_response({"status": "failed", "error": error})
        return web.json_response(
            {
                "status": "succeeded",
                "resourceLocation": f"{served.url}/results/{name}",
                "filler": served.filler,
            }
        )

    async def result(request: web.Request) -> web.Response:
        return web.json_response(served.result(request), headers={"ETag": '"1"'})

    app.router.add_post("/documents:analyze", start)
    app.router.add_get("/operations/{job}", poll)
    app.router.add_delete("/operations/{job}", served.cancel)
    app.router.add_get("/results/{job}", result)


def _aip(app: web.Application, served: JobUpstream) -> None:
    async def start(request: web.Request) -> web.Response:
        return web.json_response({"name": f"operations/{served.start(request)}", "done": False})

    async def poll(request: web.Request) -> web.Response:
        job = await served.poll(request)
        document: dict[str, Any] = {
            "name": f"operations/{request.match_info['job']}",
            "metadata": {"progressPercent": 40},
        }
        if job.is_done:
            document["done"] = True
            outcome = {"code": 3, "message": "no shelf"} if job.fails else served.result(request)
            document["error" if job.fails else "response"] = outcome
        return web.json_response(document)

    app.router.add_post("/v1/books:export", start)
    app.router.add_get("/v1/operations/{job}", poll)
    app.router.add_post("/v1/operations/{job}:cancel", served.cancel)


def _ogc(app: web.Application, served: JobUpstream) -> None:
    async def start(request: web.Request) -> web.Response:
        name = served.start(request)
        status = {"jobID": name, "status": "accepted", "type": "process"}
        return web.json_response(status, status=201, headers={"Location": f"/jobs/{name}"})

    async def poll(request: web.Request) -> web.Response:
        job = await served.poll(request)
        name = request.match_info["job"]
        document: dict[str, Any] = {"jobID": name, "status": "running", "progress": 40}
        if job.is_done:
            document["status"] = "failed" if job.fails else "successful"
            document["links"] = [{"rel": RESULTS, "href": f"/jobs/{name}/results"}]
        return web.json_response(document)

    async def result(request: web.Request) -> web.Response:
        return web.json_response(served.result(request))

    app.router.add_post("/processes/buffer/execution", start)
    app.router.add_get("/jobs/{job}", poll)
    app.router.add_delete("/jobs/{job}", served.cancel)
    app.router.add_get("/jobs/{job}/results", result)


def _redirecting(app: web.Application, served: JobUpstream) -> None:
    async def start(request: web.Request) -> web.Response:
        return web.Response(status=202, headers={"Location": f"/queue/{served.start(request)}"})

    async def poll(request: web.Request) -> web.Response:
        job = await served.poll(request)
        if not job.is_done:
            return web.json_response({"status": "pending"})
        if job.fails:
            return web.Response(status=410)
        return web.Response(
            status=303, headers={"Location": f"/exports/{request.match_info['job']}"}
        )

    async def result(request: web.Request) -> web.Response:
        return web.json_response(served.result(request))

    app.router.add_post("/exports", start)
    app.router.add_get("/queue/{job}", poll)
    app.router.add_delete("/queue/{job}", served.cancel)
    app.router.add_get("/exports/{job}", result)
