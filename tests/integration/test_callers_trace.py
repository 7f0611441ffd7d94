"""A caller's trace goes through us: to the upstream in each attempt, and into the task."""

from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import web
from sqlalchemy import text

from asynctestkit.calls import finished_task
from asynctestkit.inside import ASYNC, Inside, inside, one_of_each, operation, status

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
Lines = Sequence[tuple[str, str]]


class Seen:
    """An upstream that remembers what it is told of a trace."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, str]]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        names = {"traceparent", "tracestate"}
        lines = [(name.lower(), value) for name, value in request.headers.items()]
        self.calls.append([line for line in lines if line[0] in names])
        return web.json_response({}, status=503 if len(self.calls) == 1 else 201)


@pytest.fixture
async def installation(sqlite_url: str) -> AsyncIterator[Inside]:
    forwarding = operation(
        "forwarding",
        upstream={"url": "{UPSTREAM}/clients", "forwardHeaders": ["Traceparent", "X-Tag"]},
    )
    settings = {"database_url": sqlite_url, "broker_url": "memory://"}
    async with inside(operation(), forwarding, **settings) as opened:
        yield opened


async def called(
    installation: Inside, *lines: tuple[str, str], path: str = "create-client"
) -> Seen:
    seen = Seen()
    installation.upstream.will(seen.answer, seen.answer)
    client = await one_of_each(installation)
    answer = await client.post(f"/{path}", json={}, headers=[*lines])
    assert answer.status_code == 201
    return seen


async def test_each_attempt_tells_the_upstream(installation: Inside):
    state = [("tracestate", "a=1"), ("tracestate", "b=2")]
    seen = await called(installation, ("traceparent", PARENT), *state)
    assert seen.calls == [[("traceparent", PARENT), ("tracestate", "a=1,b=2")]] * 2


async def test_it_is_told_once_where_the_operation_forwards_it_too(installation: Inside):
    seen = await called(installation, ("traceparent", PARENT), path="forwarding")
    assert seen.calls == [[("traceparent", PARENT)]] * 2


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [("tracestate", "a=1")],
        [("traceparent", "00-1-1-01"), ("tracestate", "a=1")],
        [("traceparent", PARENT), ("traceparent", PARENT)],
    ],
)
async def test_what_names_no_trace_is_ignored(installation: Inside, lines: Lines):
    assert (await called(installation, *lines)).calls == [[], []]


async def test_the_task_tells_its_trace_and_not_the_state(installation: Inside):
    client = await installation.client(await installation.proxy())
    traced = {"traceparent": PARENT, "tracestate": "a=secret", **ASYNC}
    accepted = await client.post("/create-client", json={}, headers=traced)
    assert accepted.json()["traceId"] == TRACE
    for path in (f"/tasks/{accepted.json()['id']}", "/tasks?view=full"):
        answer = (await client.get(path)).text
        assert TRACE in answer
        assert SPAN not in answer
        assert "secret" not in answer
    untraced = await client.post("/create-client", json={}, headers=ASYNC)
    assert untraced.json()["traceId"] is None


async def test_a_retry_by_a_person_is_part_of_the_same_trace(installation: Inside):
    client = await one_of_each(installation)
    seen = Seen()
    installation.upstream.will(status(404), seen.answer)
    failed = await client.post("/create-client", json={}, headers={"traceparent": PARENT})
    assert failed.status_code == 404
    await client.post(f"/tasks/{failed.headers['task-id']}/retry")
    await finished_task(client, failed.headers["task-id"])
    assert seen.calls == [[("traceparent", PARENT)]]


async def test_an_untraced_task_has_nothing_of_it_in_its_row(installation: Inside):
    proxy = await installation.proxy()
    client = await installation.client(proxy)
    await client.post("/create-client", json={}, headers=ASYNC)
    async with proxy.connections.database.read() as connection:
        rows = (await connection.execute(text("SELECT traceparent, tracestate FROM tasks"))).all()
    assert [tuple(row) for row in rows] == [(None, None)]
