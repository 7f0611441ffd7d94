"""Lists that are dear keep nothing else waiting."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text, update

from asynctasks.operations.new_task import NewTask
from asynctasks.statements.conditions import tasks
from asynctasks.statements.pages import Filter
from asynctasks.task import TaskStatus
from asynctestkit.calls import PROBLEMS
from asynctestkit.eventually import eventually
from asynctestkit.inside import accepted, inside

ENDLESS = {
    "postgresql": "SELECT pg_sleep(60)",
    "sqlite": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
    " SELECT count(*) FROM c",
}


async def endless(connection: Any, *_: Any, **__: Any) -> None:
    await connection.execute(text(ENDLESS[connection.dialect.name]))


async def test_callers_of_dear_lists_are_told_and_all_others_go_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("asynctasks.statements.store.read_page", endless)
    async with inside(
        database_url=database_url, broker_url="memory://", list_seconds=4, database_connections=4
    ) as installation:
        proxy = await installation.proxy()
        client = await installation.client(proxy)
        lists = [asyncio.ensure_future(client.get("/tasks")) for _ in range(30)]
        while not all(one.done() for one in lists):
            async with asyncio.timeout(3):  # less than a list may take
                task_id = await accepted(client)
                assert (await client.get(f"/tasks/{task_id}")).status_code == 200
                assert (await client.get("/ping")).status_code == 200
        for one in lists:
            answer = one.result()
            assert (answer.status_code, answer.json()["type"]) == (503, f"{PROBLEMS}list-timeout")
            assert answer.headers["retry-after"] == "5"
        if proxy.connections.database.dialect == "postgresql":

            async def none_is_left() -> None:
                async with proxy.connections.database.read() as connection:
                    left = (
                        "SELECT count(*) FROM pg_stat_activity"
                        " WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
                    )
                    assert (await connection.execute(text(left))).scalar_one() == 0

            await eventually(none_is_left)


async def test_a_busy_service_is_ready(postgresql_url: str, open_parts: Callable[..., Any]):
    async with open_parts(postgresql_url) as parts:
        database = parts.database
        async with asyncio.TaskGroup() as tasks:
            entered = asyncio.Semaphore(0)
            may_end = asyncio.Event()

            async def holds_a_connection() -> None:
                async with database.read():
                    entered.release()
                    await may_end.wait()

            for _ in range(database._places._value):
                tasks.create_task(holds_a_connection())
                await entered.acquire()
            assert database._places.locked()
            async with asyncio.timeout(2):
                await database.ping()
            may_end.set()


RARE = {"type": "task-expired", "title": "It has expired", "status": 409, "detail": "Too late."}


@pytest.mark.parametrize(
    ("which", "index"),
    [
        (Filter(labels={"team": "rare"}), "ix_tasks_labels"),
        (Filter(labels={"team": "rare", "tier": "1"}), "ix_tasks_labels"),
        (Filter(batch="rare"), "ix_tasks_batch"),
        (Filter(error_type="task-expired"), "ix_tasks_error_type"),
    ],
)
async def test_what_is_rare_is_found_by_its_index(
    postgresql_url: str,
    open_parts: Callable[..., Any],
    new_task: Callable[..., NewTask],
    which: Filter,
    index: str,
):
    async with open_parts(postgresql_url) as parts:
        labels = {"team": "rare", "tier": "1"}
        rare = (await parts.store.add(new_task(labels=labels, batch="rare"))).id
        async with parts.database.write() as connection:
            ended = {"status": TaskStatus.EXPIRED, "error": RARE}
            await connection.execute(update(tasks).values(ended))
        async with parts.database.write() as connection:
            await connection.execute(
                text(
                    "INSERT INTO tasks (id, operation, queue, arguments, max_attempts, created_at,"
                    " labels, batch, status, error)"
                    " SELECT gen_random_uuid(), 'a', 'clients', '{}', 1, now(),"
                    " '{\"team\": \"common\"}', 'common', 'failed', '{\"type\": \"common\"}'"
                    " FROM generate_series(1, 20000)"
                )
            )
        async with parts.database.read() as connection:
            await connection.execute(text("ANALYZE tasks"))
        seen: list[tuple[str, Any]] = []

        def record(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            seen.append((statement, parameters))

        event.listen(parts.database._readers.sync_engine, "before_cursor_execute", record)
        page = await parts.store.page(which, before=None, size=50)
        assert [task.id for task in page.tasks] == [rare]
        statement, parameters = seen[0]
        async with parts.database.read() as connection:
            plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            assert index in "\n".join(row[0] for row in plan)
