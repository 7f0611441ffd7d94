"""What is found by the primary key, however many rows there are."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, event, insert

from asynctasks.batch import Batch, BatchAction
from asynctasks.instants import utc_now
from asynctasks.operations.kept_tasks import KeptTasks
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.statements import labelled, pages
from asynctasks.statements.batch_search import BatchSearch
from asynctasks.statements.conditions import tasks
from asynctasks.statements.old_tasks import OldTasks
from asynctasks.statements.owners import Listed
from asynctasks.statements.pages import Filter
from asynctasks.task import TaskStatus, new_task_id

FIRST = datetime(2023, 11, 14, tzinfo=UTC)
"""When the first of the rows was made, each other one a second after the one before."""
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


RARE = {"team": "rare"}


RARELY: list[tuple[dict[str, Any], bool]] = [
    ({"labels": RARE}, True),
    ({"labels": {**RARE, "tier": "gold"}}, True),
    ({"labels": {**RARE, "tier": "silver"}}, False),
    ({"labels": {"team": "nobody"}}, False),
    ({"labels": RARE, "status": TaskStatus.FAILED}, True),
    ({"labels": RARE, "operation": "create-client"}, True),
    ({"labels": RARE, "tenant": "red"}, True),
    ({"labels": RARE, "tenant": "blue"}, False),
    ({"labels": RARE, "listed": OF_RED}, True),
    ({"labels": RARE, "listed": [Listed(tenant="blue"), *OF_RED]}, True),
]
"""Filters, and whether the three oldest tasks fit, as no other does."""


async def test_the_rare_are_found_with_no_walk_past_all_others(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    postgresql_url: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(labelled, "NEAR", 100)
    async with open_parts(postgresql_url) as parts:
        failed = {"status": TaskStatus.FAILED, "tenant": "red"}
        old = {"labels": {**RARE, "tier": "gold"}, "finished_at": FIRST}
        young = {"labels": {"team": "common", "tier": "gold"}, "finished_at": utc_now()}
        made = await stored(parts.database, (failed | old, 3), (failed | young, 5_000))
        for which, is_found in RARELY:
            # One at a time, for which PostgreSQL would rather walk past a hundred.
            statements = recorded(parts.database)
            page = await parts.store.page(Filter(**which), before=None, size=1)
            found = await BatchSearch(parts.database, size=1).find(retry(), Filter(**which))
            newest, oldest = made[2]["id"], made[0]["id"]
            assert [task.id for task in page.tasks] == [newest] * is_found, which
            assert list(found.ids) == [oldest] * is_found, which
            for statement in list(statements):
                assert await blocks_read(parts.database, statement) < 40, statement


async def test_what_finished_long_ago_is_found_with_no_walk_past_all_that_is_younger(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]], postgresql_url: str
):
    async with open_parts(postgresql_url) as parts:
        finished = FIRST + timedelta(seconds=200)
        old, young = ({"finished_at": at} for at in (finished, utc_now()))
        # So many that a walk would soon come by one, were they strewn among the others.
        made = await stored(parts.database, (old, 200), (young, 5_000))
        statements = recorded(parts.database)
        which = Filter(finished_before=finished + timedelta(seconds=1))
        page = await parts.store.page(which, before=None, size=1)
        assert [task.id for task in page.tasks] == [made[199]["id"]]
        assert await blocks_read(parts.database, statements[0]) < 40


async def test_a_page_of_few_leads_on_though_its_last_was_deleted_meanwhile(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    postgresql_url: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(labelled, "NEAR", 1)
    async with open_parts(postgresql_url) as parts:
        made = await stored(parts.database, ({"labels": RARE}, 5), ({}, 5))
        first_of_few: Callable[..., Any] = labelled.first_of_few

        async def deleted_after(*arguments: Any, **more: Any) -> Any:
            few: Any = await first_of_few(*arguments, **more)
            async with parts.database.write() as connection:
                await connection.execute(delete(tasks).where(tasks.c.id == few[-1]))
            return few

        monkeypatch.setattr(pages, "first_of_few", deleted_after)
        page = await parts.store.page(Filter(labels=RARE), before=None, size=2)
        assert [task.id for task in page.tasks] == [made[4]["id"]]
        assert page.following == made[3]["id"]


LABELS = [{}, {"a": "1"}, {"a": "2"}, {"a": "1", "b": "1"}, {"a": "2", "b": "2"}, {"c": "1"}]

ALSO: list[dict[str, Any]] = [{}, {"tenant": "red"}, {"status": TaskStatus.FAILED}]


@pytest.mark.parametrize(("near", "few"), [(1, 1), (1, 10), (30, 1), (10, 50)])
async def test_labels_find_the_same_tasks_in_each_way(
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    near: int,
    few: int,
):
    monkeypatch.setattr(labelled, "NEAR", near)
    monkeypatch.setattr(labelled, "FEW", few)
    random = Random(near + few)
    async with open_parts(database_url) as parts:
        made = [
            row(
                number,
                labels=random.choice(LABELS[:-1]),
                tenant=random.choice(["red", "blue"]),
                status=random.choice([TaskStatus.FAILED, TaskStatus.EXPIRED]),
            )
            for number in range(60)
        ]
        async with parts.database.write() as connection:
            await connection.execute(insert(tasks), made)
        for labels in LABELS:
            for also in ALSO:
                which = Filter(labels=labels, **also)
                fitting = [
                    one["id"]
                    for one in made
                    if one.items() >= also.items() and one["labels"].items() >= labels.items()
                ]
                assert await all_pages(parts.store, which) == fitting[::-1], which
                assert await all_steps(parts.database, which) == fitting, which


async def all_pages(store: Any, which: Filter) -> list[UUID]:
    """The ids of all that fit, page by page."""
    ids: list[UUID] = []
    before = None
    while True:
        page = await store.page(which, before=before, size=7)
        ids += [task.id for task in page.tasks]
        if page.following is None:
            return ids
        before = page.following


async def all_steps(database: Any, which: Filter) -> list[UUID]:
    """The same, step by step of a batch."""
    search, batch, ids = BatchSearch(database, size=7), retry(), list[UUID]()
    while True:
        found = await search.find(batch, which)
        ids += found.ids
        if found.until is None:
            return ids
        batch = batch.model_copy(update={"found_until": found.until})


def retry() -> Batch:
    """One of all that have ended badly."""
    now = utc_now()
    return Batch(
        id=new_task_id(), action=BatchAction.RETRY, filter={}, created_at=now, stepped_at=now
    )


async def blocks_read(database: Any, statement: tuple[str, Any]) -> int:
    """Of tables and indexes."""
    text, parameters = statement
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}"
    async with database.read() as connection:
        (found,) = (await connection.exec_driver_sql(explain, parameters)).scalar_one()
    return found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"]


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
    milliseconds = 1_000 * (int(FIRST.timestamp()) + number)
    return {
        "id": UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62),
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
