"""What is found by the primary key, however many rows there are."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, insert

from asynctasks.instants import utc_now
from asynctasks.operations.kept_tasks import KeptTasks
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.statements.conditions import tasks
from asynctasks.statements.old_tasks import OldTasks
from asynctasks.statements.owners import Listed
from asynctasks.statements.pages import Filter
from asynctasks.task import TaskStatus

ALL_KEPT = KeptTasks(86_400, frozenset(), is_rest=True)
FAILED_KEPT = KeptTasks(86_400, frozenset({("create-client", "failed")}))


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
        await parts.store.hold([task_id])
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
        which = Filter(labels={"team": "nobody"}, created_after=start)
        assert (await parts.store.page(which, before=None, size=50)).tasks == []
        assert "id>?" in await plan(parts.database, statements[0])
        page = await parts.store.page(Filter(created_after=start), before=None, size=50)
        assert [found.id for found in page.tasks] == [task_id]
        for instant, count in (("0001-01-01T00:00:00Z", 1), ("9999-12-31T23:59:59Z", 0)):
            which = Filter(created_after=datetime.fromisoformat(instant))
            assert len((await parts.store.page(which, before=None, size=50)).tasks) == count


async def test_a_page_of_what_runs_reads_nothing_that_has_finished_however_much_that_is(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]], database_url: str
):
    async with open_parts(database_url) as parts:
        running = {"status": TaskStatus.RUNNING}
        waiting = {"upstream_job": {"url": "http://u/jobs/1"}}
        finished = {"status": TaskStatus.SUCCEEDED, "finished_at": utc_now()}
        # Those that run are the oldest, where a walk from the newest would meet them last.
        made = await stored(parts.database, (running, 20), (waiting, 20), (finished, 10_000))
        statements = recorded(parts.database)
        page = await parts.store.page(Filter(status=TaskStatus.RUNNING), before=None, size=30)
        assert [task.id for task in page.tasks] == [one["id"] for one in made[39:9:-1]]
        found = await plan(parts.database, statements[0])
        assert {"ix_tasks_running", "ix_tasks_upstream_jobs"} <= set(re.findall(r"\w+", found))
        assert not walks(found), found


@pytest.mark.parametrize("kept", [ALL_KEPT, FAILED_KEPT])
async def test_what_is_old_is_looked_for_among_nothing_younger(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    database_url: str,
    kept: KeptTasks,
):
    async with open_parts(database_url) as parts:
        old = {"status": TaskStatus.FAILED, "finished_at": utc_now() - timedelta(days=2)}
        young = {"status": TaskStatus.FAILED, "finished_at": utc_now()}
        await stored(parts.database, (old, 50), (young, 10_000))
        statements = recorded(parts.database)
        assert (await OldTasks(parts.database).purge(kept, limit=10)).count == 10
        assert len(statements) == 3
        for statement in statements:
            found = await plan(parts.database, statement)
            assert "ix_tasks_finished" in found, found
            assert "SCAN tasks" not in found.replace("SCAN tasks USING", ""), found
            assert "Seq Scan" not in found, found


LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
"""All that there is lies between."""
OF_ANN = [Listed(principal="ann")]
OF_RED = [Listed(tenant="red")]
FILTERS: list[dict[str, Any]] = [
    {},
    {"operation": "create-client"},
    {"created_after": LONG_AGO},
    {"created_before": FAR_AHEAD},
    {"finished_after": LONG_AGO},
    {"finished_before": FAR_AHEAD},
    *({"status": status} for status in TaskStatus),
    {"status": TaskStatus.FAILED, "operation": "create-client"},
]


@pytest.mark.parametrize("listed", [OF_ANN, OF_RED])
async def test_a_page_of_one_callers_walks_through_nobody_elses(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    database_url: str,
    listed: list[Listed],
):
    async with open_parts(database_url) as parts:
        finished = {"status": TaskStatus.SUCCEEDED, "finished_at": utc_now()}
        failed = {"status": TaskStatus.FAILED, "finished_at": utc_now()}
        own = {"principal": "ann", "tenant": "red"}
        others = {"principal": "bea", "tenant": "blue"}
        # Hers are the oldest, where a walk from the newest would meet them last.
        made = await stored(
            parts.database,
            (finished | own, 10),
            (failed | own, 5),
            (own | {"status": TaskStatus.QUEUED}, 5),
            (failed | others, 500),
            (finished | others, 10_000),
        )
        for which in FILTERS:
            statements = recorded(parts.database)
            page = await parts.store.page(Filter(**which, listed=listed), before=None, size=50)
            found = await plan(parts.database, statements[0])
            assert not walks(found), (which, found)
            said = {key: value for key, value in which.items() if not isinstance(value, datetime)}
            fitting = [one for one in reversed(made) if one.items() >= (own | said).items()]
            is_of_finished = any(key.startswith("finished") for key in which)
            expected = [one["id"] for one in fitting if not is_of_finished or "finished_at" in one]
            assert [task.id for task in page.tasks] == expected, which


def walks(plan: str) -> list[str]:
    """Where a plan goes through the table itself, or all of it by the key."""
    by_key = re.findall(r"(?:SCAN tasks|Seq Scan|tasks_pkey).*\n?.*", plan)
    return [line for line in by_key if "ix_tasks_" not in line and "Index Cond: (id = " not in line]


async def stored(database: Any, *kinds: tuple[dict[str, Any], int]) -> list[dict[str, Any]]:
    """So many rows of each kind, the first the oldest."""
    made: list[dict[str, Any]] = []
    for kind, count in kinds:
        rows = [row(len(made) + number, **kind) for number in range(count)]
        made += rows
        async with database.write() as connection:
            await connection.execute(insert(tasks), rows)
    if database.dialect == "postgresql":
        async with database.write() as connection:
            await connection.exec_driver_sql("ANALYZE tasks")
    return made


def row(number: int, **values: Any) -> dict[str, Any]:
    """A task's, of which the one with the higher number is newer."""
    return {
        "id": UUID(int=(1_700_000_000_000 + number) << 80 | 7 << 76 | 2 << 62),
        "operation": "create-client",
        "queue": "clients",
        "arguments": {},
        "max_attempts": 1,
        "created_at": utc_now(),
        **values,
    }


async def plan(database: Any, statement: tuple[str, Any]) -> str:
    text, parameters = statement
    explain = "EXPLAIN" if database.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
    async with database.read() as connection:
        rows = await connection.exec_driver_sql(f"{explain} {text}", parameters)
        return "\n".join(row[-1] for row in rows)


def recorded(database: Any) -> list[tuple[str, Any]]:
    """The statements on tasks from now on, each with its parameters."""
    statements: list[tuple[str, Any]] = []

    def record(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _: Any, is_many: bool
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            statements.append((statement, parameters[0] if is_many else parameters))

    for engine in {database._readers, database._writers}:
        event.listen(engine.sync_engine, "before_cursor_execute", record)
    return statements
