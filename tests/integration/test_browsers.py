"""What browsers are told: who may call us from a page, and what they may make of our answers."""

import base64
import hashlib
import re
from collections.abc import AsyncGenerator

import httpx
import pytest

from asynctestkit.inside import ASYNC, accepted, inside

APP = "https://app.example.com"


@pytest.fixture
async def client(sqlite_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with inside(
        database_url=sqlite_url,
        broker_url="memory://",
        cors_origins=f"{APP}, http://localhost:3000",
    ) as installation:
        yield await installation.client(await installation.proxy())


async def test_a_page_of_a_known_origin_may_call_with_our_headers_and_read_all_of_the_answer(
    client: httpx.AsyncClient,
):
    asked = "idempotency-key, prefer, task-labels, authorization, x-own"
    preflight = await client.options(
        "/create-client",
        headers={
            "Origin": APP,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": asked,
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == APP
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == asked
    answers = [
        await client.post("/create-client", json={}, headers={"Origin": APP, **ASYNC}),
        await client.post("/create-client", json=[], headers={"Origin": APP}),
        await client.get("/tasks/none", headers={"Origin": APP}),
        await client.get("/nowhere", headers={"Origin": APP}),
    ]
    assert [each.status_code for each in answers] == [202, 422, 404, 404]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == APP
        assert answer.headers["access-control-expose-headers"] == "*"
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_of_another_origin_may_not(client: httpx.AsyncClient):
    evil = {"Origin": "https://evil.example"}
    refused = await client.options(
        "/create-client", headers={**evil, "Access-Control-Request-Method": "POST"}
    )
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    answer = await client.get("/tasks", headers=evil)
    assert "access-control-allow-origin" not in answer.headers


SITE = "Sec-Fetch-Site"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({SITE: "cross-site"}, 403),
        ({"Origin": "https://other.proxy", SITE: "same-site"}, 403),
        ({"Origin": "http://proxy.evil.example"}, 403),
        ({}, 200),
        ({"Origin": "http://proxy"}, 200),
        ({"Origin": APP, SITE: "cross-site"}, 200),
        ({"Origin": "http://rewritten", SITE: "same-origin"}, 200),
        ({SITE: "none"}, 200),
    ],
)
async def test_a_page_of_another_origin_changes_nothing(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
):
    task_id = await accepted(client)
    client.headers["Host"] = "proxy"
    for path in ("/operations/create-client/pause", f"/tasks/{task_id}/cancel"):
        answer = await client.post(path, headers=headers)
        assert answer.status_code == status, path
        if status == 403:
            assert answer.json()["type"].endswith("/forbidden")
            assert "ASYNCAPIPROXY_CORS_ORIGINS" in answer.json()["detail"]
    # Reading is kept from it by the browser, and what an operation makes of it is its upstream's.
    assert (await client.get("/tasks", headers=headers)).status_code == 200
    assert (
        await client.post("/create-client", json={}, headers=headers | ASYNC)
    ).status_code == 202


async def test_the_address_before_the_proxies_in_front_is_ours(sqlite_url: str):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", public_url="http://api.example.com/jobs"
    ) as installation:
        client = await installation.client(await installation.proxy())
        client.headers["Origin"] = "http://api.example.com"
        assert (await client.post("/queues/clients/pause")).status_code == 200


async def test_without_origins_nothing_is_said_of_them(sqlite_url: str):
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        client = await installation.client(await installation.proxy())
        preflight = await client.options(
            "/create-client", headers={"Origin": APP, "Access-Control-Request-Method": "POST"}
        )
        assert (preflight.status_code, preflight.headers["allow"]) == (204, "OPTIONS, POST")
        answer = await client.get("/tasks", headers={"Origin": APP})
        for each in (preflight, answer):
            assert not [name for name in each.headers if name.startswith("access-control")]


async def test_no_answer_is_taken_for_another_type_and_none_about_a_task_is_kept(
    client: httpx.AsyncClient,
):
    task_id = await accepted(client)
    for path in (
        *("/ping", "/tasks", "/tasks/none", "/nowhere"),
        *(f"/tasks/{task_id}{more}" for more in ("", "/response", "/operation")),
    ):
        answer = await client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["cache-control"] == "no-store", path
    for path in ("/docs", "/openapi.json", "/swagger/swagger-ui.css"):
        assert (await client.get(path)).headers["x-content-type-options"] == "nosniff", path


async def test_the_docs_page_loads_only_what_is_ours_and_runs_only_its_own_script(
    client: httpx.AsyncClient,
):
    page = await client.get("/docs")
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}'" in policy
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert "//" not in address
        assert (await client.get(f"/{address}")).status_code == 200
