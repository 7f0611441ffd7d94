"""What finds many rows by their ids reads no others."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import event

from asynctasks.outcome import Outcome
from asynctasks.store import NewTask
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
        claimed = await claims.claim(task_id)
        await claims.look([task_id])
        await claims.renew([task_id])
        await claims.finish(claimed, Outcome(TaskStatus.SUCCEEDED))
        await parts.store.versions([task_id])
        await parts.store.finished_among([task_id])
        await parts.store.make_due([task_id])
        assert len(statements) >= 7
        async with parts.database.read() as connection:
            for statement, parameters in list(statements):
                plan = await connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}", parameters
                )
                assert not [row.detail for row in plan if "SCAN tasks" in row.detail], statement


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
