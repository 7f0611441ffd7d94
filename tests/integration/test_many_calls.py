"""Many calls of one operation by one request, a line each."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import event

from asyncproxy.access.principal import Principal
from asyncproxy.access.quota import Quota
from asyncproxy.access.rules import Action
from asyncproxy.metrics import HELD_BODY_BYTES
from asynctestkit.callers import EVERYTHING, access, proof, rule
from asynctestkit.calls import PROBLEMS, get_task, has_status
from asynctestkit.eventually import eventually
from asynctestkit.inside import Inside, inside, operation

NDJSON = {"Content-Type": "application/x-ndjson"}
PATH = "/create-client:batch"
ANN = Principal(name="ann", tenant="red")


def lines(*calls: Any) -> bytes:
    return b"".join(json.dumps(call).encode() + b"\n" for call in calls)


def call(name: str = "Ann", **more: Any) -> dict[str, Any]:
    return {"arguments": {"name": name}, **more}


async def answered(client: httpx.AsyncClient, body: bytes, **headers: str) -> list[dict[str, Any]]:
    answer = await client.post(PATH, content=body, headers={**NDJSON, **headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == NDJSON["Content-Type"]
    assert HELD_BODY_BYTES._value.get() == 0
    return [json.loads(line) for line in answer.text.splitlines()]


def problem_of(answer: dict[str, Any]) -> str:
    return answer["problem"]["type"].removeprefix(PROBLEMS)


async def listed(client: httpx.AsyncClient, **query: str) -> list[str]:
    page = await client.get("/tasks", params={"page_size": "1000", **query})
    return [task["id"] for task in page.json()["tasks"]]


@pytest.fixture
async def client(installation: Inside) -> httpx.AsyncClient:
    return await installation.client(await installation.proxy())


async def test_each_line_is_a_task_and_a_bad_one_is_told_by_its_number(database_url: str):
    async with inside(
        operation(), database_url=database_url, broker_url="memory://", max_body_bytes=1_024
    ) as installation:
        client = await installation.client(await installation.proxy())
        body = (
            lines(call("Ann"))
            + b"\n{\n"
            + lines(call("Bob"), call(7), [], {"argument": {}}, call(key=7), call(key=""))  # type: ignore[arg-type]
            + lines(call("x" * 1_024), {}, call("Cid", key="c"))
            + b'{"arguments": {"name": "Dan"}}'
        )
        found = await answered(client, body, **{"Task-Batch": "b", "Task-Priority": "7"})
        assert [one["line"] for one in found] == [1, *range(3, 14)]
        problems = {
            one["line"]: (problem_of(one), one["problem"].get("errors", [{}])[0].get("pointer"))
            for one in found
            if "problem" in one
        }
        assert problems == {
            3: ("malformed-json", None),
            5: ("arguments-invalid", "/arguments/name"),
            6: ("arguments-invalid", ""),
            7: ("arguments-invalid", "/argument"),
            8: ("arguments-invalid", "/key"),
            9: ("arguments-invalid", "/key"),
            10: ("body-too-large", None),
        }
        assert found[1]["problem"]["detail"].startswith("line 3, column ")
        ids = [one["id"] for one in found if "id" in one]
        assert await listed(client, batch="b") == sorted(ids, reverse=True)
        names = [(await get_task(client, one))["arguments"].get("name") for one in ids]
        assert names == ["Ann", "Bob", None, "Cid", "Dan"]
        assert (await get_task(client, ids[0]))["priority"] == 7
        await installation.executor()
        for task_id in ids:
            await has_status(client, task_id, "succeeded")


async def test_a_line_with_a_key_is_made_once(client: httpx.AsyncClient):
    body = lines(call("Ann", key="a"), call("Bob", key="b"), call("Ann", key="a"))
    first, second = [await answered(client, body) for _ in range(2)]
    assert first == second
    assert first[0]["id"] == first[2]["id"] != first[1]["id"]
    (other,) = await answered(client, lines(call("Eve", key="a")))
    assert problem_of(other) == "idempotency-key-reused"
    assert len(await listed(client)) == 2


async def test_lines_are_stored_many_by_one_statement(installation: Inside):
    proxy = await installation.proxy()
    client = await installation.client(proxy)
    seen: list[int] = []

    def record(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("INSERT INTO tasks"):
            seen.append(len(parameters))

    engine = proxy.connections.database._writers.sync_engine
    event.listen(engine, "before_cursor_execute", record)
    found = await answered(client, lines(*[call()] * 600))
    assert [one["line"] for one in found] == [*range(1, 601)]
    assert seen == [250, 250, 100]


@asynccontextmanager
async def connected(client: httpx.AsyncClient) -> AsyncGenerator[tuple[Any, Any]]:
    """A connection of little room, on which the head of a request has been sent."""
    url = urlsplit(str(client.base_url))
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (url.hostname, url.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=65_536)
    writer.write(
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: application/x-ndjson\r\n\r\n".encode()
    )
    try:
        yield reader, writer
    finally:
        writer.close()


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


async def test_answers_come_before_all_lines_are_sent(client: httpx.AsyncClient):
    async with connected(client) as (reader, writer), asyncio.timeout(30):
        writer.write(chunk(lines(*[call()] * 250)))
        await reader.readuntil(b'{"line":1,"id":"')
        assert len(await listed(client)) == 250
        writer.write(chunk(lines(call())) + b"0\r\n\r\n")
        await reader.readuntil(b'{"line":251,"id":"')


async def test_who_sends_all_before_it_reads_is_answered(client: httpx.AsyncClient):
    """More than the connection has room for: reading does not wait for the answers to be read."""
    bad = b"[" * 80 + b"\n"
    async with connected(client) as (reader, writer), asyncio.timeout(60):
        for _ in range(100):
            writer.write(chunk(bad * 100))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        whole = b""
        while not whole.endswith(b"0\r\n\r\n"):
            whole += await reader.read(65_536)
    assert len(re.findall(rb'\{"line":\d+,"problem":', whole)) == 10_000


async def test_what_has_come_whole_is_stored_of_a_caller_that_leaves(client: httpx.AsyncClient):
    async with connected(client) as (_, writer):
        writer.write(chunk(lines(call(), call()) + b'{"arguments'))
        await writer.drain()

    async def are_stored() -> None:
        assert len(await listed(client)) == 2

    await eventually(are_stored)


async def test_of_too_many_lines_the_first_are_taken(installation: Inside):
    client = await installation.client(await installation.proxy(max_batch_lines=3))
    found = await answered(client, lines(*[call()] * 5))
    assert ["id" in one for one in found] == [True, True, True, False]
    assert (found[3]["line"], problem_of(found[3])) == (4, "body-too-large")
    assert "more than 3 lines" in found[3]["problem"]["detail"]
    assert len(await listed(client)) == 3


@pytest.mark.parametrize(
    ("headers", "status", "told"),
    [
        ({"Content-Type": "application/json"}, 415, "expected application/x-ndjson"),
        ({"Idempotency-Key": "a"}, 400, "Idempotency-Key: expected none, but a `key` in each line"),
        ({"Task-Batch": "a b"}, 400, "Task-Batch: expected a name"),
        ({"Task-Deadline": "5", "Task-Delay": "6"}, 400, "Task-Deadline: expected a time after"),
        ({"Task-Callback": "https://a.example"}, 400, "Task-Callback: expected none"),
    ],
)
async def test_what_is_wrong_with_all_lines_is_told_once(
    client: httpx.AsyncClient, headers: dict[str, str], status: int, told: str
):
    answer = await client.post(PATH, content=lines(call()), headers={**NDJSON, **headers})
    assert (answer.status_code, told in answer.json()["detail"]) == (status, True), answer.text
    assert await listed(client) == []


async def test_admission_is_asked_for_each_line(sqlite_url: str):
    given: dict[str, Any] = {"database_url": sqlite_url, "broker_url": "memory://"}
    async with inside(operation(maxQueued=2), **given) as installation:
        client = await installation.client(await installation.proxy())
        found = await answered(client, lines(*[call()] * 4))
        assert [problem_of(one) for one in found if "id" not in one] == ["queue-full"] * 2


async def test_each_line_is_within_its_callers_rights_and_quotas(installation: Inside):
    quotas = (Quota.model_validate({"per": "principal", "queued": 2}),)
    may = access((ANN,), quotas=quotas)
    client = await installation.client(await installation.proxy(access=may))
    nobody = await client.post(PATH, content=lines(call()), headers=NDJSON)
    assert nobody.status_code == 401
    found = await answered(client, lines(*[call()] * 3), **proof(ANN))
    assert [problem_of(one) for one in found if "id" not in one] == ["quota-exceeded"]
    mine = [one["id"] for one in found if "id" in one]
    task = (await client.get(f"/tasks/{mine[0]}", headers=proof(ANN))).json()
    assert (task["principal"], task["tenant"]) == ("ann", "red")
    less = access((ANN,), rule(may=EVERYTHING - {Action.SUBMIT}))
    may.replace(less._authenticator, less._rules, ())
    refused = await client.post(PATH, content=lines(call()), headers={**NDJSON, **proof(ANN)})
    assert refused.status_code == 403


NOT_MANY = [
    {"route": "POST /a/{name}"},
    {"route": "PUT /a"},
    {"parameters": [{"name": "name", "in": "query"}]},
    {"arguments": {"type": "object"}, "body": {"contentTypes": ["text/plain"]}},
]


@pytest.mark.parametrize("declared", NOT_MANY)
async def test_only_json_in_the_body_of_a_post_is_taken_line_by_line(
    declared: dict[str, Any], sqlite_url: str
):
    given: dict[str, Any] = {"database_url": sqlite_url, "broker_url": "memory://"}
    async with inside(operation("a", **declared), **given) as installation:
        client = await installation.client(await installation.proxy())
        answer = await client.post("/a:batch", content=lines(call()), headers=NDJSON)
        assert answer.status_code == 404
