"""The demo Customer API: a small real service to put a proxy in front of.

It is slow, fails and drops connections where an email asks for it (`demo_behaviours`), and counts
what reaches it (`GET /stats`), so that a retry, a cancel or a repeat can be seen from its side.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncapiproxy.demo.answers import json_answer, problem
from asyncapiproxy.demo.create import CreateClient
from asyncapiproxy.demo.report_routes import report_routes
from asyncapiproxy.demo.scans import create_scan
from asyncapiproxy.demo.stats import CallStats
from asyncapiproxy.demo.store import ClientStore
from asynctasks.database import check_sqlite_file


def create_demo_api(database: Path) -> Starlette:
    """The API over this SQLite file, which is open while the application's lifespan lasts.

    Raises SettingsError where the file is something else.
    """
    check_sqlite_file(database)
    store = ClientStore(database)
    stats = CallStats()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with store:
            yield

    async def get_client(request: Request) -> Response:
        client = await store.find(request.path_params["client_id"])
        if client is None:
            return problem(404, "There is no client with this id")
        return json_answer(asdict(client))

    async def get_stats(_: Request) -> Response:
        created = await store.created()
        in_store = {"created": created.clients, "created_by_key_max": created.by_key_max}
        return json_answer(stats.as_json() | in_store)

    return Starlette(
        routes=[
            Route("/clients", CreateClient(store=store, stats=stats), methods=["POST"]),
            Route("/clients/{client_id}", get_client),
            Route("/scans", create_scan, methods=["POST"]),
            Route("/stats", get_stats),
            *report_routes(store),
        ],
        exception_handlers={HTTPException: _http_problem},
        lifespan=lifespan,
    )


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = problem(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer
