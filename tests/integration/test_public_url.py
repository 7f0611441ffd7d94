"""The proxy where callers reach it by another address, or below a path that is taken off."""

import pytest

from asynctestkit.inside import ASYNC, accepted, inside


@pytest.mark.parametrize("prefix", ["/apis/tasks-of-ours", "https://api.example.com:8443/tasks"])
async def test_every_address_that_callers_are_given_begins_with_it(sqlite_url: str, prefix: str):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", public_url=prefix
    ) as installation:
        client = await installation.client(await installation.proxy())
        answer = await client.post("/create-client", json={}, headers=ASYNC)
        task = answer.json()
        address = f"{prefix}/tasks/{task['id']}"
        assert answer.headers["operation-location"] == f"{address}/operation"
        assert answer.headers["location"] == task["links"]["self"] == address
        assert task["links"]["events"] == f"{address}/events"
        await accepted(client)
        page = await client.get("/tasks?page_size=1")
        assert page.headers["link"].startswith(f"<{prefix}/tasks?page_size=1&page_token=")
        assert page.json()["tasks"][0]["links"]["self"].startswith(f"{prefix}/tasks/")

        got = await client.get(f"/tasks/{task['id']}")
        assert got.json()["links"]["self"] == address
        cancelled = await client.post(f"/tasks/{task['id']}/cancel")
        assert cancelled.json()["links"]["self"] == address
        async with client.stream("GET", f"/tasks/{task['id']}/events") as events:
            assert f'"self":"{address}"'.encode() in await events.aread()
        response = await client.get(f"/tasks/{task['id']}/response")
        assert response.json()["instance"] == address
        retried = await client.post(f"/tasks/{task['id']}/retry")
        assert retried.headers["location"] == address

        document = (await client.get("/openapi.json")).json()
        assert document["servers"] == [{"url": prefix}]
        assert (await client.get("/")).headers["location"] == f"{prefix}/docs"
