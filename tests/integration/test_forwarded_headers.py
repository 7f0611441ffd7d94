"""The caller's headers that an operation lets through to its upstream."""

from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web
from sqlalchemy import text

from asynctasks.errors import SealingKeyMissingError
from asynctestkit.inside import ASYNC, Inside, inside, one_of_each, operation, status

FORWARDING = operation(
    upstream={
        "url": "{UPSTREAM}/clients",
        "forwardHeaders": ["Accept", "Accept-Language", "Authorization", "X-Tag", "traceparent"],
    }
)
NOT_FORWARDING = operation("other")
SENT = [
    ("accept", "text/csv"),
    ("Authorization", "Bearer hunter2"),
    ("X-Tag", "a"),
    ("X-Tag", "b, é"),
    ("Cookie", "session=1"),
    ("X-Other", "1"),
]


class Seen:
    """An upstream that remembers what headers it is called with."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, str]]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        names = {"accept", "accept-language", "authorization", "x-tag", "cookie", "x-other"}
        lines = [(name.lower(), value) for name, value in request.headers.items()]
        self.calls.append([line for line in lines if line[0] in names])
        return web.json_response({})


@pytest.fixture
async def forwarding(sqlite_url: str) -> AsyncIterator[Inside]:
    settings = {"database_url": sqlite_url, "broker_url": "memory://"}
    async with inside(FORWARDING, NOT_FORWARDING, **settings) as installation:
        yield installation


async def post(
    client: httpx.AsyncClient, *lines: tuple[str, str], path: str = "/create-client"
) -> httpx.Response:
    headers = [(name, value.encode()) for name, value in lines]
    return await client.post(path, json={}, headers=headers)  # pyright: ignore[reportArgumentType] - httpx takes bytes beside text


async def test_named_headers_reach_the_upstream_line_by_line_and_no_others(forwarding: Inside):
    client = await one_of_each(forwarding)
    seen = Seen()
    forwarding.upstream.will(seen.answer, seen.answer)
    assert (await post(client, *SENT)).status_code == 200
    assert (await post(client, *SENT, path="/other")).status_code == 200
    assert seen.calls == [
        [
            ("accept", "text/csv"),
            ("authorization", "Bearer hunter2"),
            ("x-tag", "a"),
            ("x-tag", "b, é"),
        ],
        [("accept", "*/*")],
    ]


async def test_they_come_with_each_attempt_and_are_shown_nowhere(forwarding: Inside):
    client = await one_of_each(forwarding)
    seen = Seen()
    forwarding.upstream.will(status(503), seen.answer)
    answer = await post(client, ("Authorization", "Bearer hunter2"))
    assert answer.status_code == 200
    assert ("authorization", "Bearer hunter2") in seen.calls[0]
    for path in (f"/tasks/{answer.headers['task-id']}", "/tasks?view=full"):
        assert "hunter2" not in (await client.get(path)).text


async def test_they_are_sealed_in_the_row(forwarding: Inside):
    proxy = await forwarding.proxy()
    client = await forwarding.client(proxy)
    await post(client, *SENT, *ASYNC.items())
    await post(client, *ASYNC.items())
    async with proxy.connections.database.read() as connection:
        rows = (await connection.execute(text("SELECT * FROM tasks ORDER BY id"))).mappings().all()
    assert "hunter2" not in str(rows)
    assert rows[0]["sealed_headers"]
    # httpx sends an Accept of its own, which is forwarded like any.
    assert rows[1]["sealed_headers"]


async def test_a_repeat_by_key_may_come_with_other_headers(forwarding: Inside):
    client = await one_of_each(forwarding)
    traced = [("Idempotency-Key", "k"), ("traceparent", "00-1-1-01")]
    first = await post(client, *traced)
    again = await post(client, traced[0], ("traceparent", "00-2-2-01"))
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["task-id"] == first.headers["task-id"]


async def test_a_value_that_could_not_be_sent_on_as_it_came_is_refused(forwarding: Inside):
    client = await forwarding.client(await forwarding.proxy())
    lines = [(b"X-Tag", b"caf\xe9")]
    answer = await client.post("/create-client", json={}, headers=lines)
    assert (answer.status_code, answer.json()["detail"]) == (400, "X-Tag: expected ASCII or UTF-8.")


async def test_without_a_key_to_seal_them_nothing_is_served(sqlite_url: str):
    given = {"database_url": sqlite_url, "broker_url": "memory://", "sealing_keys": ""}
    plain = operation(arguments={"type": "object"}, upstream={"url": "http://u/"})
    async with inside(plain, **given) as installation:
        proxy = await installation.proxy()
        with pytest.raises(SealingKeyMissingError, match="forwarded headers of create-client"):
            await proxy.operations.change({"create-client": FORWARDING})
