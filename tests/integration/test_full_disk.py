"""A database without room: what is refused meanwhile, and that all goes on after it."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.statements.claims import Claims
from asynctestkit.calls import PROBLEMS, finished_task, get_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import (
    accepted,
    held,
    inside,
)


async def test_a_full_disk_is_503_and_all_goes_on_when_there_is_room(sqlite_url: str):
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        proxy = await installation.proxy()
        await installation.executor()
        client = await installation.client(proxy)
        may_end = asyncio.Event()
        installation.upstream.will(held(may_end))
        running = await accepted(client)

        def runs() -> None:
            assert installation.upstream.keys

        await eventually(runs)
        await _limit_pages(proxy, "(SELECT 1)")
        big = {"name": "x" * 200_000}
        refused = await client.post("/create-client", json=big)
        assert (refused.status_code, refused.json()["type"]) == (
            503,
            f"{PROBLEMS}database-unavailable",
        )
        assert len((await client.get("/tasks")).json()["tasks"]) == 1
        may_end.set()
        await _limit_pages(proxy, "1073741823")
        assert (await finished_task(client, running))["status"] == "succeeded"
        assert (await client.post("/create-client", json=big)).status_code == 201


async def test_an_outcome_waits_for_room_on_a_full_disk(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
):
    refusals: list[DatabaseUnavailableError] = []
    finish = Claims.finish

    async def watched_finish(claims: Claims, *given: Any) -> Any:
        try:
            return await finish(claims, *given)
        except DatabaseUnavailableError as error:
            refusals.append(error)
            raise

    monkeypatch.setattr(Claims, "finish", watched_finish)

    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        proxy = await installation.proxy()
        executor = await installation.executor()
        client = await installation.client(proxy)
        may_end = asyncio.Event()

        async def held_and_large(_: web.Request) -> web.StreamResponse:
            await may_end.wait()
            return web.json_response({"text": "x" * 60_000}, status=201)

        installation.upstream.will(held_and_large)
        task_id = await accepted(client)

        def runs() -> None:
            assert installation.upstream.keys

        await eventually(runs)
        await _limit_pages(executor, "(SELECT 1)")
        may_end.set()

        def was_refused() -> None:
            assert refusals

        await eventually(was_refused)
        assert (await get_task(client, task_id))["status"] == "running"
        await _limit_pages(executor, "1073741823")
        task = await finished_task(client, task_id)
        assert (task["status"], task["attempt"], len(installation.upstream.keys)) == (
            "succeeded",
            1,
            1,
        )


async def _limit_pages(service: Any, pages: str) -> None:
    async with service.connections.database.write() as connection:
        # One page: SQLite keeps to what there is already.
        number = "1" if pages.startswith("(") else pages
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {number}")
