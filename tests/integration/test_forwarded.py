"""Behind a proxy that says by which address it was called, and for whom."""

import pytest
from aiohttp import web

from asynctestkit.inside import ASYNC, inside, operation

FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "tasks.example.com",
    "X-Forwarded-Prefix": "/api",
    "X-Forwarded-For": "203.0.113.7",
}


@pytest.mark.parametrize(
    ("trusted", "prefix"),
    [("127.0.0.0/8", "https://tasks.example.com/api"), ("192.0.2.0/24", ""), ("", "")],
)
async def test_the_addresses_that_callers_are_given_are_those_of_a_trusted_proxy(
    sqlite_url: str, trusted: str, prefix: str
):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", trusted_proxies=trusted
    ) as installation:
        client = await installation.client(await installation.proxy())
        client.headers.update(FORWARDED)
        answer = await client.post("/create-client", json={}, headers=ASYNC)
        address = f"{prefix}/tasks/{answer.json()['id']}"
        assert answer.headers["location"] == answer.json()["links"]["self"] == address
        page = await client.get("/tasks?page_size=1")
        assert page.json()["tasks"][0]["links"]["self"] == address
        cancelled = await client.post(f"/tasks/{answer.json()['id']}/cancel")
        assert cancelled.json()["links"]["self"] == address
        response = await client.get(f"/tasks/{answer.json()['id']}/response")
        assert response.json()["instance"] == address
        document = (await client.get("/openapi.json")).json()
        assert document["servers"] == [{"url": prefix or "/"}]
        root = await client.get("/")
        assert root.headers["location"] == (f"{prefix}/docs" if prefix else "docs")


@pytest.mark.parametrize(("trusted", "passes"), [("127.0.0.1", True), ("192.0.2.0/24", False)])
async def test_an_upstream_gets_such_headers_only_from_a_trusted_proxy(
    sqlite_url: str, trusted: str, passes: bool
):
    seen: list[tuple[str | None, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.headers.get("X-Forwarded-For"), request.headers.get("Accept")))
        return web.json_response({}, status=201)

    forwarding = operation(
        upstream={
            "url": "{UPSTREAM}/clients",
            "forwardHeaders": ["X-Forwarded-For", "Accept"],
        }
    )
    async with inside(
        forwarding, database_url=sqlite_url, broker_url="memory://", trusted_proxies=trusted
    ) as installation:
        client = await installation.client(await installation.proxy())
        await installation.executor()
        installation.upstream.will(answer)
        headers = {**FORWARDED, "Accept": "application/json"}
        assert (await client.post("/create-client", json={}, headers=headers)).status_code == 201
    assert seen == [("203.0.113.7" if passes else None, "application/json")]
