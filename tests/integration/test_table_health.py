"""What a life of many tasks leaves behind in PostgreSQL's table."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import text

from asynctasks.database import Database
from asynctasks.operations.new_task import NewTask
from asynctestkit.eventually import eventually

RENEWALS = 50
TASKS = 20


async def test_a_renewed_lease_changes_no_index(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    postgresql_url: str,
    new_task: Callable[..., NewTask],
):
    """Each renewal stays beside its row (HOT), so that long attempts make no work for vacuum."""
    async with open_parts(postgresql_url) as parts:
        claims = parts.claims("one")
        ids = [(await parts.store.add(new_task())).id for _ in range(TASKS)]
        for task_id in ids:
            assert await claims.claim(task_id) is not None
        for _ in range(RENEWALS):
            assert len(await claims.renew(ids)) == TASKS
    database = Database(postgresql_url)

    async def counted() -> None:
        async with database.read() as connection:
            row = (await connection.execute(text(_UPDATES))).one()
        assert row.updates >= TASKS * (1 + RENEWALS)
        assert row.hot >= 0.9 * TASKS * RENEWALS

    try:
        await eventually(counted)  # the statistics come with a delay
    finally:
        await database.close()


_UPDATES = """
SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relname = 'tasks'
"""
