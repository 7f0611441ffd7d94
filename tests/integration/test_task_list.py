"""Which tasks a caller is listed, and how a list is paged."""

import httpx

from asynctestkit.calls import get_task
from asynctestkit.inside import (
    ASYNC,
    Inside,
    accepted,
    inside,
    operation,
)


async def test_tasks_are_listed_by_what_was_asked_for(sqlite_url: str, postgresql_url: str):
    for database_url in (sqlite_url, postgresql_url):
        async with inside(
            operation(), operation("other"), database_url=database_url, broker_url="memory://"
        ) as installation:
            client = await installation.client(await installation.proxy())
            blue = await accepted(client, **{"Task-Labels": "team=blue, example.com/tier=1"})
            red = await accepted(client, **{"Task-Labels": "team=red"})
            other = (await client.post("/other", json={}, headers=ASYNC)).json()
            await client.post(f"/tasks/{red}/cancel")

            async def ids(client: httpx.AsyncClient = client, **query: str) -> list[str]:
                answer = await client.get("/tasks", params=query)
                assert answer.status_code == 200, answer.text
                return [task["id"] for task in answer.json()["tasks"]]

            assert await ids() == [other["id"], red, blue]
            assert await ids(label="team=blue") == [blue]
            assert await ids(label="example.com/tier=1") == [blue]
            assert await ids(label="team=green") == []
            assert await ids(status="cancelled") == [red]
            assert await ids(operation="other") == [other["id"]]
            first_at = (await get_task(client, blue))["createdAt"]
            assert await ids(created_after=first_at) == [other["id"], red]
            for odd in ('a"b=1', "=1", "a\\=1", "$.team=blue", "a\0b=1"):
                answer = await client.get("/tasks", params={"label": odd})
                assert answer.status_code in {200, 422}, (odd, answer.text)
                assert answer.json().get("tasks", []) == []
            for query in (
                {"created_after": "2026-01-01T00:00:00"},
                {"created_after": "0001-01-01T00:00:00+14:00"},
                {"created_after": "soon"},
                {"operation": "a\0b"},
                {"page_size": "0"},
                {"page_token": "x"},
                {"status": "done"},
            ):
                answer = await client.get("/tasks", params=query)
                assert answer.status_code in {200, 422}, (query, answer.text)


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
