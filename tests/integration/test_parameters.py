"""Operations whose arguments stand in path, query, headers and cookies: GET and HEAD too."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web

from asyncapiproxy import AsyncClient
from asynctestkit.inside import ASYNC, Inside, inside, one_of_each, operation

ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "required": ["year", "format"],
    "$defs": {
        "page": {"type": "integer", "description": "From 1 on"},
        "pages": {"type": "array", "items": {"$ref": "#/$defs/page", "minimum": 1}},
    },
    "properties": {
        "year": {"type": "integer", "minimum": 2000},
        "format": {"enum": ["csv", "pdf"]},
        "pages": {"$ref": "#/$defs/pages"},
        "language": {"type": "string"},
        "session": {"type": "string"},
    },
}
PAGES = "#/components/schemas/ReportArguments.pages"
PARAMETERS: list[dict[str, Any]] = [
    {"name": "format", "in": "query"},
    {"name": "page", "in": "query", "argument": "pages", "explode": False},
    {"name": "X-Language", "in": "header", "argument": "language"},
    {"name": "session", "in": "cookie"},
]
CALL: dict[str, Any] = {
    "method": "GET",
    "url": "{UPSTREAM}/reports/{year}{?format,pages*}",
    "headers": {"X-Language": "{language}", "X-Session": "{session}"},
}
REPORT = operation(
    "report",
    route="GET /reports/{year}",
    arguments=ARGUMENTS,
    parameters=PARAMETERS,
    upstream=CALL,
)
LENGTH = operation(
    "length",
    route="HEAD /length",
    arguments={"type": "object"},
    upstream={"method": "HEAD", "url": "{UPSTREAM}/length"},
)
NAMED = {"type": "object", "properties": {"name": {"type": "string"}}}
BOTH = [
    operation(
        f"{method.lower()}-both",
        route=f"{method} /both/{{name}}",
        arguments=NAMED,
        upstream={"method": method, "url": "{UPSTREAM}/both/{name}"},
    )
    for method in ("GET", "HEAD")
]
SEARCH = operation(
    "search",
    route="POST /searches",
    arguments={"type": "object", "properties": {"format": {"type": "string"}, "text": {}}},
    parameters=[{"name": "format", "in": "query"}],
    upstream={"url": "{UPSTREAM}/searches{?format}"},
)
ODD = operation(
    "odd",
    route="GET /odd/@me/levels:trim/{id}",
    arguments={
        "type": "object",
        "properties": {"id": {}, "page[limit]": {"type": "integer"}, "dry-run": {}},
    },
    parameters=[{"name": "page[limit]", "in": "query"}, {"name": "dry-run", "in": "query"}],
    upstream={
        "method": "GET",
        "url": "{UPSTREAM}/odd/@me/levels:trim/{id}{?page%5Blimit%5D,dry%2Drun}",
    },
)
PLAIN = operation(upstream={"url": "{UPSTREAM}/clients"})


@pytest.fixture
async def reports(sqlite_url: str) -> AsyncIterator[Inside]:
    declared = (REPORT, LENGTH, *BOTH, SEARCH, ODD, PLAIN)
    async with inside(*declared, database_url=sqlite_url, broker_url="memory://") as installation:
        yield installation


async def told(request: web.Request) -> web.StreamResponse:
    """What of the call has reached the upstream."""
    named = {name: request.headers.get(name) for name in ("X-Language", "X-Session")}
    return web.json_response(
        {
            "call": f"{request.method} {request.path_qs}",
            "headers": named,
            "body": await request.text(),
        }
    )


@pytest.mark.parametrize("me", ["@me", "%40me"])
async def test_odd_names_and_paths_are_called_as_they_are(reports: Inside, me: str):
    client = await one_of_each(reports)
    reports.upstream.will(told)
    answer = await client.get(f"/odd/{me}/levels:trim/1?page[limit]=5")
    assert answer.status_code == 200, answer.text
    assert answer.json()["call"] == "GET /odd/@me/levels:trim/1?page%5Blimit%5D=5"


async def test_a_get_reaches_its_upstream_with_all_that_its_parameters_gave(reports: Inside):
    client = await one_of_each(reports)
    reports.upstream.will(told, told)
    headers = {"X-Language": "de", "Cookie": "a=b; session=s%201"}
    answer = await client.get("/reports/2020?page=1,2&format=csv", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "call": "GET /reports/2020?format=csv&pages=1&pages=2",
        "headers": {"X-Language": "de", "X-Session": "s 1"},
        "body": "",
    }
    task = (await client.get(f"/tasks/{answer.headers['task-id']}")).json()
    assert task["arguments"] == {
        "year": 2020,
        "format": "csv",
        "pages": [1, 2],
        "language": "de",
        "session": "s 1",
    }
    answer = await client.get("/reports/2021/", params={"format": "pdf"})
    assert answer.json()["call"] == "GET /reports/2021?format=pdf"
    assert answer.json()["headers"] == {"X-Language": None, "X-Session": None}


async def test_a_head_is_the_get_without_its_body(reports: Inside):
    client = await one_of_each(reports)
    reports.upstream.will(told, told)
    got, headed = [
        await client.request(method, "/reports/2020?format=csv") for method in ("GET", "HEAD")
    ]
    assert (headed.status_code, headed.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert headed.headers[name] == got.headers[name]
    headed = await client.head("/reports/2020?format=csv", headers=ASYNC)
    assert (headed.status_code, headed.content) == (202, b"")
    assert headed.headers["location"] == f"/tasks/{headed.headers['task-id']}"


async def test_a_head_operation_calls_head_and_knows_no_length(reports: Inside):
    client = await one_of_each(reports)

    async def large(request: web.Request) -> web.StreamResponse:
        assert request.method == "HEAD"
        return web.Response(headers={"Content-Length": "900000000", "Content-Type": "text/csv"})

    reports.upstream.will(large)
    answer = await client.head("/length")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "text/csv"
    assert "content-length" not in answer.headers
    assert (await client.get("/length")).headers["allow"] == "HEAD, OPTIONS"


async def test_a_head_goes_to_the_operation_of_its_own_where_there_is_one(reports: Inside):
    client = await one_of_each(reports)
    called: list[str] = []

    async def counted(request: web.Request) -> web.StreamResponse:
        called.append(request.method)
        return web.Response()

    reports.upstream.will(counted, counted)
    for method in ("HEAD", "GET"):
        assert (await client.request(method, "/both/a")).status_code == 200
    assert called == ["HEAD", "GET"]
    assert (await client.put("/both/a")).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_what_is_asked_by_get_and_not_done_yet_is_kept_by_no_cache(reports: Inside):
    client = await reports.client(await reports.proxy())
    answer = await client.get("/reports/2020?format=csv", headers=ASYNC)
    assert (answer.status_code, answer.headers["cache-control"]) == (202, "no-store")


async def test_a_get_with_a_body_is_refused(reports: Inside):
    client = await reports.client(await reports.proxy())
    for method in ("GET", "HEAD"):
        answer = await client.request(method, "/reports/2020?format=csv", json={"year": 1})
        assert answer.status_code == 400
    answer = await client.request("GET", "/reports/2020?format=csv", json={})
    assert answer.json()["type"].endswith("/body-not-allowed")
    assert answer.json()["detail"].startswith("A GET has no body")
    empty = await client.request("GET", "/reports/2020?format=csv", content=b"", headers=ASYNC)
    assert empty.status_code == 202


def problem(answer: httpx.Response) -> tuple[str, dict[str | None, str]]:
    """The last word of the problem's type, and its errors by parameter."""
    assert answer.status_code == 422, answer.text
    errors = {one.get("parameter"): one.get("pointer", "") for one in answer.json()["errors"]}
    return answer.json()["type"].rpartition("/")[2], errors


async def test_a_problem_points_to_the_parameters(reports: Inside):
    client = await reports.client(await reports.proxy())
    answer = await client.get("/reports/2020?formt=csv&page=1&page=2")
    assert problem(answer) == ("parameters-invalid", {"formt": "", "page": "", "format": ""})
    answer = await client.get("/reports/1999?format=doc")
    assert problem(answer) == ("parameters-invalid", {"year": "", "format": ""})
    answer = await client.get("/reports/x?format=csv&page=1,y")
    assert problem(answer) == ("parameters-invalid", {"year": "", "page": ""})
    answer = await client.get("/reports/2020?format=csv&page=%00", headers={"X-Language": "a"})
    assert problem(answer) == ("parameters-invalid", {"page": ""})


async def test_what_a_parameter_gives_may_not_stand_in_the_body(reports: Inside):
    client = await one_of_each(reports)
    reports.upstream.will(told)
    answer = await client.post("/searches?format=csv", json={"text": "a"})
    assert answer.json()["call"] == "POST /searches?format=csv"
    assert answer.json()["body"] == '{"text":"a"}'
    for path in ("/searches", "/searches?format=csv"):
        answer = await client.post(path, json={"text": "a", "format": "csv"})
        assert problem(answer) == ("arguments-invalid", {None: "/format"})


async def test_a_query_that_nothing_names_is_refused_without_parameters_too(reports: Inside):
    client = await reports.client(await reports.proxy())
    answer = await client.post("/create-client?dry-run=1", json={})
    assert problem(answer) == ("parameters-invalid", {"dry-run": ""})
    assert (await client.post("/create-client?", json={}, headers=ASYNC)).status_code == 202


async def test_task_commands_call_it_as_the_document_says(reports: Inside):
    proxy = await reports.proxy()
    await reports.executor()
    reports.upstream.will(told)
    arguments = {"year": 2020, "format": "csv", "pages": [1, 2], "language": "de", "session": "a b"}

    async with AsyncClient(proxy.url) as client:
        task = await client.submit("report", arguments, wait=20)
        state = await task.refresh()
    assert state.arguments == arguments
    assert (
        state.document["response"]["body"]["call"] == "GET /reports/2020?format=csv&pages=1&pages=2"
    )


async def test_the_document_describes_each_parameter(reports: Inside):
    client = await reports.client(await reports.proxy())
    document = (await client.get("/openapi.json")).json()
    paths = document["paths"]
    get = paths["/reports/{year}"]["get"]
    assert "requestBody" not in get
    properties = ARGUMENTS["properties"]
    assert get["parameters"][:5] == [
        {"name": "format", "in": "query", "required": True, "schema": properties["format"]},
        {
            "name": "page",
            "in": "query",
            "required": False,
            "explode": False,
            "schema": {"$ref": PAGES},
            "x-argument": "pages",
        },
        {
            "name": "X-Language",
            "in": "header",
            "required": False,
            "schema": properties["language"],
            "x-argument": "language",
        },
        {"name": "session", "in": "cookie", "required": False, "schema": properties["session"]},
        {"name": "year", "in": "path", "required": True, "schema": properties["year"]},
    ]
    assert document["components"]["schemas"][PAGES.rpartition("/")[2]]["type"] == "array"
    body = paths["/searches"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert list(body["properties"]) == ["text"]
    assert "head" in paths["/length"]
