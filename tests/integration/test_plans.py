"""What is found by the primary key, however many rows there are."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import event

from asynctasks.instants import utc_now
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.statements.pages import Filter
from asynctasks.task import TaskStatus


async def test_on_sqlite_no_statement_reads_the_whole_table(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    sqlite_url: str,
    new_task: Callable[..., NewTask],
):
    async with open_parts(sqlite_url) as parts:
        statements = recorded(parts.database)
        claims = parts.claims("one")
        task_id = (await parts.store.add(new_task())).id
        await parts.store.add(new_task(idempotency_key="key"))
        await parts.store.add(new_task(coalescing_key="equal"))
        claimed = await claims.claim(task_id)
        await claims.look([task_id])
        await claims.renew([task_id])
        await claims.finish(claimed, Outcome(TaskStatus.SUCCEEDED))
        await parts.store.versions([task_id])
        await parts.store.finished_among([task_id])
        await parts.store.make_due([task_id])
        assert len(statements) >= 9
        for statement in list(statements):
            assert "SCAN tasks" not in await plan(parts.database, statement), statement


async def test_a_page_of_the_newest_reads_nothing_older(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    sqlite_url: str,
    new_task: Callable[..., NewTask],
):
    async with open_parts(sqlite_url) as parts:
        start = utc_now()
        task_id = (await parts.store.add(new_task())).id
        statements = recorded(parts.database)
        which = Filter(label=("team", "nobody"), created_after=start)
        assert (await parts.store.page(which, before=None, size=50)).tasks == []
        assert "id>?" in await plan(parts.database, statements[0])
        page = await parts.store.page(Filter(created_after=start), before=None, size=50)
        assert [found.id for found in page.tasks] == [task_id]
        for instant, count in (("0001-01-01T00:00:00Z", 1), ("9999-12-31T23:59:59Z", 0)):
            which = Filter(created_after=datetime.fromisoformat(instant))
            assert len((await parts.store.page(which, before=None, size=50)).tasks) == count


async def plan(database: Any, statement: tuple[str, Any]) -> str:
    text, parameters = statement
    async with database.read() as connection:
        rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
        return "\n".join(row.detail for row in rows)


def recorded(database: Any) -> list[tuple[str, Any]]:
    """The statements on tasks from now on, each with its parameters."""
    statements: list[tuple[str, Any]] = []

    def record(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _: Any, is_many: bool
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            statements.append((statement, parameters[0] if is_many else parameters))

    for engine in {database._readers, database._writers}:
        event.listen(engine.sync_engine, "before_cursor_execute", record)
    return statements
