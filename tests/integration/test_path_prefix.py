"""The proxy below a path: whatever stands in front takes it off."""

from asynctestkit.inside import ASYNC, accepted, inside

PREFIX = "/apis/tasks-of-ours"


async def test_every_address_that_callers_are_given_begins_with_the_prefix(sqlite_url: str):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", path_prefix=PREFIX
    ) as installation:
        client = await installation.client(await installation.proxy())
        answer = await client.post("/create-client", json={}, headers=ASYNC)
        task = answer.json()
        address = f"{PREFIX}/tasks/{task['id']}"
        assert answer.headers["location"] == task["links"]["self"] == address
        assert task["links"]["events"] == f"{address}/events"
        await accepted(client)
        page = await client.get("/tasks?page_size=1")
        assert page.headers["link"].startswith(f"<{PREFIX}/tasks?page_size=1&page_token=")
        assert page.json()["tasks"][0]["links"]["self"].startswith(f"{PREFIX}/tasks/")

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
        assert document["servers"] == [{"url": PREFIX}]
        assert (await client.get("/")).headers["location"] == f"{PREFIX}/docs"
