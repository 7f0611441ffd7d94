"""Which tasks a caller is listed, and how a list is paged."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import event

from asyncproxy.task_view import page_response
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.pages import PAGE_BYTES, Filter
from asynctasks.statements.shown import View
from asynctasks.task import TaskStatus
from asynctestkit.calls import PROBLEMS, get_task
from asynctestkit.inside import (
    ASYNC,
    Inside,
    accepted,
    inside,
    one_of_each,
    operation,
)


async def test_tasks_are_listed_by_what_was_asked_for(sqlite_url: str, postgresql_url: str):
    for database_url in (sqlite_url, postgresql_url):
        async with inside(
            operation(), operation("other"), database_url=database_url, broker_url="memory://"
        ) as installation:
            client = await installation.client(await installation.proxy())
            blue = await accepted(
                client, **{"Task-Labels": "team=blue, example.com/tier=1", "Task-Batch": "b"}
            )
            red = await accepted(client, **{"Task-Labels": "team=red"})
            other = (await client.post("/other", json={}, headers=ASYNC)).json()
            await client.post(f"/tasks/{red}/cancel")

            async def ids(client: httpx.AsyncClient = client, **query: Any) -> list[str]:
                answer = await client.get("/tasks", params=query)
                assert answer.status_code == 200, answer.text
                return [task["id"] for task in answer.json()["tasks"]]

            assert await ids() == [other["id"], red, blue]
            assert await ids(label="team=blue") == [blue]
            assert await ids(label="example.com/tier=1") == [blue]
            assert await ids(label="team=green") == []
            assert await ids(label=["team=blue", "example.com/tier=1"]) == [blue]
            assert await ids(label=["team=red", "example.com/tier=1"]) == []
            assert await ids(batch="b") == [blue]
            assert await ids(batch="b", label="team=red") == []
            assert (await get_task(client, blue))["batch"] == "b"
            assert other["batch"] is None
            assert await ids(error_type="task-cancelled") == [red]
            assert await ids(error_type=f"{PROBLEMS}task-cancelled") == [red]
            assert await ids(error_type="task-expired") == []
            assert await ids(status="cancelled") == [red]
            assert await ids(operation="other") == [other["id"]]
            first_at = (await get_task(client, blue))["createdAt"]
            assert await ids(created_after=first_at) == [other["id"], red]
            assert await ids(created_before=first_at) == []
            assert await ids(created_before=other["createdAt"]) == [red, blue]
            assert await ids(finished_after=first_at) == [red]
            finished_at = (await get_task(client, red))["finishedAt"]
            for query in ({"finished_after": finished_at}, {"finished_before": finished_at}):
                assert await ids(**query) == []
            assert await ids(finished_before="2100-01-01T00:00:00Z") == [red]
            assert await ids(label="$.team=blue") == []


LARGE = ("tasks.arguments", "tasks.response_headers", "tasks.response_body")
INSTANTS = ("created_after", "created_before", "finished_after", "finished_before")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"created_after": "2026-01-01T00:00:00"}, "expected a time zone, such as Z"),
        ({"created_after": "0001-01-01T00:00:00+14:00"}, "it is beyond the calendar"),
        ({"created_after": "soon"}, "expected RFC 3339"),
        *(({name: "0.5"}, "expected RFC 3339") for name in INSTANTS),
        *(({"label": odd}, "such as team=a") for odd in ('a"b=1', "=1", "a\\=1", "a\0b=1")),
        ({"label": ["team=a", "team=b"]}, "several named team"),
        ({"label": [f"n{number}=1" for number in range(21)]}, "expected at most 20 items, not 21"),
        *(({"error_type": odd}, "such as upstream-timeout") for odd in ("", "A", "about:blank")),
        *(({"batch": odd}, "expected a name of letters") for odd in ("", "a b", "x" * 64)),
        ({"operation": "a\0b"}, "such as create-client"),
        ({"page_size": "0"}, "greater than or equal to 1"),
        ({"page_token": "x"}, "valid UUID"),
        ({"status": "done"}, "'queued'"),
        *(({"view": odd}, "'summary' or 'full'") for odd in ("", "wide", "FULL")),
    ],
)
async def test_a_list_asked_for_in_words_that_mean_nothing_is_422_and_says_why(
    installation: Inside, query: dict[str, Any], told: str
):
    client = await installation.client(await installation.proxy())
    answer = await client.get("/tasks", params=query)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert [error["parameter"]] == [*query]
    assert told in error["detail"]


async def test_pages_hold_each_task_once_though_tasks_are_added_meanwhile(installation: Inside):
    client = await installation.client(await installation.proxy())
    ids = [await accepted(client) for _ in range(7)]
    seen: list[str] = []
    path = "/tasks?page_size=3&operation=create-client"
    while path:
        page = await client.get(path)
        seen += [task["id"] for task in page.json()["tasks"]]
        path = page.links.get("next", {}).get("url", "")
        assert bool(path) is (page.json()["nextPageToken"] is not None)
        await accepted(client)
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    "path",
    [
        "/tasks?status=queued&status=failed",
        "/tasks?view=summary&view=full",
        "/batches?page_size=1&page_size=2",
    ],
)
async def test_what_is_given_twice_is_refused(installation: Inside, path: str):
    client = await installation.client(await installation.proxy())
    answer = await client.get(path)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == path.partition("?")[2].partition("=")[0]
    assert fault["detail"] == "it is given 2 times; give one"


async def test_the_next_page_is_of_the_same_labels(installation: Inside):
    client = await installation.client(await installation.proxy())
    await accepted(client, **{"Task-Labels": "team=a"})
    await accepted(client, **{"Task-Labels": "tier=1"})
    both = [await accepted(client, **{"Task-Labels": "team=a, tier=1"}) for _ in range(3)]
    seen: list[str] = []
    path = "/tasks?page_size=2&label=team%3Da&label=tier%3D1"
    while path:
        page = await client.get(path)
        seen += [task["id"] for task in page.json()["tasks"]]
        path = page.links.get("next", {}).get("url", "")
    assert seen == both[::-1]


async def test_a_list_tells_neither_arguments_nor_bodies_unless_it_is_asked_for_all(
    database_url: str,
):
    async with inside(database_url=database_url, broker_url="memory://") as installation:
        client = await one_of_each(installation)
        answered = await client.post("/create-client", json={"name": "Ann"})
        one = await get_task(client, answered.headers["task-id"])
        assert (one["arguments"], one["response"]["body"]) == ({"name": "Ann"}, answered.json())
        summary = await client.get("/tasks")
        response = {name: one["response"][name] for name in ("status", "contentType")}
        expected = {**one, "response": response}
        del expected["arguments"]
        assert summary.json()["tasks"] == [expected]
        assert (await client.get("/tasks?view=summary")).content == summary.content
        assert (await client.get("/tasks?view=full")).json()["tasks"] == [one]


async def test_a_summary_reads_nothing_that_can_be_large(parts: Any):
    seen: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(parts.database._readers.sync_engine, "before_cursor_execute", record)
    for view in View:
        await parts.store.page(Filter(), before=None, size=50, view=view)
    summary, full = ({name for name in LARGE if name in statement} for statement in seen)
    assert (summary, full) == (set(), set(LARGE))


async def test_the_next_page_is_of_the_same_view(installation: Inside):
    client = await installation.client(await installation.proxy())
    for _ in range(2):
        await accepted(client)
    page = await client.get("/tasks?view=full&page_size=1")
    (task,) = (await client.get(page.links["next"]["url"])).json()["tasks"]
    assert "arguments" in task


async def test_a_page_of_large_tasks_ends_early_and_the_next_goes_on_there(database_url: str):
    async with inside(database_url=database_url, broker_url="memory://") as installation:
        client = await installation.client(await installation.proxy())
        large = {"name": "x" * 900_000}
        ids: list[str] = []
        for arguments in (*[large] * 6, {}, *[large] * 5):
            answer = await client.post("/create-client", json=arguments, headers=ASYNC)
            ids.append(answer.json()["id"])
        pages: list[list[str]] = []
        path = "/tasks?page_size=12&view=full"
        while path:
            page = await client.get(path)
            pages.append([task["id"] for task in page.json()["tasks"]])
            assert len(page.content) < PAGE_BYTES + 1_000_000
            path = page.links.get("next", {}).get("url", "")
        assert [task for page in pages for task in page] == ids[::-1]
        assert [len(page) for page in pages] == [5, 6, 1]
        assert len((await client.get("/tasks?page_size=12")).json()["tasks"]) == 12


async def test_a_page_of_many_small_values_takes_no_more_memory_than_their_text(
    parts: Any, new_task: Callable[..., NewTask]
):
    small: dict[str, Any] = {"values": [{}] * 330_000}
    answer = Outcome(
        TaskStatus.SUCCEEDED, Response(200, "application/json", orjson.dumps(small["values"]))
    )
    for _ in range(6):
        task_id = (await parts.store.add(new_task(arguments=small))).id
        claims = parts.claims("one")
        await claims.finish(await claims.claim(task_id), answer)
    gc.collect()
    tracemalloc.start()
    try:
        page = await parts.store.page(Filter(), before=None, size=50, view=View.FULL)
        response = await page_response(page, next_page=None)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(page.tasks) == 3
    assert len(response.body) > PAGE_BYTES
    assert peak_bytes < 64 * 1024 * 1024
