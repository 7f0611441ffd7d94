"""Methods, and paths that end in a slash."""

from typing import Any

import pytest

from asynctestkit.inside import ASYNC, Inside, accepted, inside, operation


async def test_each_path_says_all_that_it_allows(installation: Inside):
    client = await installation.client(await installation.proxy())
    for path, allowed in {
        "/tasks": "GET, HEAD, OPTIONS",
        "/tasks/": "GET, HEAD, OPTIONS",
        "/tasks/x": "DELETE, GET, HEAD, OPTIONS",
        "/tasks/x/events": "GET, OPTIONS",
        "/tasks/x/cancel": "OPTIONS, POST",
        "/create-client": "OPTIONS, POST",
        "/create-client/": "OPTIONS, POST",
        "/ping": "GET, HEAD, OPTIONS",
    }.items():
        for method, status in (("PUT", 405), ("OPTIONS", 204)):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (status, allowed), path
    assert (await client.options("/nowhere")).status_code == 404


async def test_head_is_answered_as_get_without_its_body(installation: Inside):
    client = await installation.client(await installation.proxy())
    task_id = await accepted(client)
    ours = ("/ping", "/docs", "/openapi.json", "/tasks")
    alias = f"/task/{task_id}"
    assert (await client.get(f"{alias}/")).json() == (await client.get(alias)).json()
    for path in (*ours, f"/tasks/{task_id}", alias, f"{alias}/", "/tasks/none"):
        got, headed = await client.get(path), await client.head(path)
        assert (headed.status_code, headed.content) == (got.status_code, b"")
        assert headed.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize("path", ["/tasks/", "/tasks/{id}/", "/ping/", "/"])
async def test_nothing_repeats_the_host_that_a_request_names(installation: Inside, path: str):
    client = await installation.client(await installation.proxy())
    task_id = await accepted(client)
    headers: dict[str, Any] = {"Host": "evil.example"}
    answer = await client.get(path.format(id=task_id), headers=headers)
    assert answer.status_code in {200, 307, 404}
    assert "evil" not in str(answer.headers) + answer.text


async def test_an_encoded_slash_is_a_part_of_one_path_argument(sqlite_url: str):
    schema = {
        "type": "object",
        "required": ["id", "part"],
        "properties": {"id": {"type": "string", "pattern": "^[^/]*/[^/]*$"}, "part": {"enum": [7]}},
    }
    declared = operation("change", route="PUT /clients/{id}/parts/{part}", arguments=schema)
    async with inside(declared, database_url=sqlite_url, broker_url="memory://") as installation:
        client = await installation.client(await installation.proxy())
        for path in ("/clients/a%2Fb%20%C3%A9%25/parts/7", "/cl%69ents/a%2fb%20%C3%A9%25/parts/7/"):
            answer = await client.put(path, headers=ASYNC)
            assert answer.status_code == 202, answer.text
            assert answer.json()["arguments"] == {"id": "a/b é%", "part": 7}
        assert (await client.put("/clients/a/b/parts/7")).status_code == 404
        assert (await client.get("/clients/a%2Fb/parts/7")).headers["allow"] == "OPTIONS, PUT"


async def test_without_docs_only_what_callers_are_told_of_is_served(sqlite_url: str):
    async with inside(
        operation("measure", route="POST /metrics"),
        database_url=sqlite_url,
        broker_url="memory://",
        docs=False,
    ) as installation:
        client = await installation.client(await installation.proxy())
        for path in ("/", "/docs", "/openapi.json", "/swagger/swagger-ui.css", "/healthz"):
            answer = await client.get(path)
            assert (answer.status_code, "/docs lists" in answer.text) == (404, False), path
        assert (await client.get("/tasks")).status_code == 200
        # The health port has a /metrics of its own.
        assert (await client.post("/metrics", json={}, headers=ASYNC)).status_code == 202
