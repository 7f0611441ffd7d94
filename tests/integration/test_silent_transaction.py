"""A process that goes silent in the midst of a transaction: stopped, paging, or cut off."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

import asynctasks.postgresql
from asynctasks.database import Database
from asynctasks.errors import DatabaseUnavailableError
from asynctestkit.eventually import PATIENCE_SECONDS


async def test_it_does_not_hold_its_rows_for_longer_than_the_limit(
    postgresql_url: str, monkeypatch: Any
):
    monkeypatch.setattr(asynctasks.postgresql, "IDLE_SECONDS", 1)
    database = Database(postgresql_url)
    try:
        async with database.write() as connection:
            await connection.execute(text("CREATE TABLE held AS SELECT 1 AS value"))

        async def hold() -> None:
            async with database.write() as connection:
                await connection.execute(text("UPDATE held SET value = 2"))
                holding.set()
                await released.wait()

        holding, released = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            holder = tasks.create_task(_refused(hold()))
            await holding.wait()
            async with asyncio.timeout(PATIENCE_SECONDS), database.write() as connection:
                await connection.execute(text("UPDATE held SET value = 3"))
            released.set()
            await holder
        async with database.read() as connection:
            assert (await connection.execute(text("SELECT value FROM held"))).scalar_one() == 3
    finally:
        await database.close()


async def _refused(holding: Any) -> None:
    with pytest.raises(DatabaseUnavailableError):
        await holding
