"""To whoever may not see it a task is as one that never was; its keys, pages and joins likewise."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import event, text

from asyncproxy.access.access import Access
from asyncproxy.access.principal import ANONYMOUS, Principal
from asyncproxy.access.rules import Action, Scope
from asynctasks.task import new_task_id
from asynctestkit.callers import EVERYTHING, NamedCallers, access, proof, rule
from asynctestkit.calls import PROBLEMS, finished_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, Stoppable, held, inside, operation, status
from asynctestkit.served_routes import served_routes

ANN = Principal(name="ann", tenant="red")
ROB = Principal(name="rob", tenant="red")
BEA = Principal(name="bea", tenant="blue")
LOOK = operation(
    "look",
    route="GET /look",
    arguments={"type": "object"},
    upstream={"method": "GET", "url": "{UPSTREAM}/look"},
    coalesce=True,
)
CREATE = operation()


@pytest.fixture
def callers() -> Access:
    return access((ANN, ROB, BEA))


@pytest.fixture
async def installation(database_url: str) -> AsyncIterator[Inside]:
    async with inside(
        CREATE,
        LOOK,
        operation("other"),
        database_url=database_url,
        broker_url="memory://",
        relay_interval_seconds=0.05,
        watch_interval_seconds=0.05,
    ) as installation:
        yield installation


@pytest.fixture
async def proxy(installation: Inside, callers: Access) -> Stoppable:
    return await installation.proxy(access=callers)


@pytest.fixture
async def client(installation: Inside, proxy: Stoppable) -> httpx.AsyncClient:
    return await installation.client(proxy)


async def submitted(
    client: httpx.AsyncClient, caller: Principal, path: str = "/create-client", **headers: str
) -> str:
    method = "GET" if path == "/look" else "POST"
    json = None if method == "GET" else {"name": "x" * 70_000}
    answer = await client.request(
        method, path, json=json, headers={**proof(caller), **ASYNC, **headers}
    )
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def routes_of_one_task() -> list[tuple[str, str]]:
    return [(method, path) for method, path in served_routes() if "{task_id}" in path]


WAYS_TO_ASK = [
    {},
    {"Prefer": "wait=5"},
    {"If-None-Match": "*"},
    {"Last-Event-ID": "1"},
]


async def answered(
    client: httpx.AsyncClient, method: str, path: str, task_id: str, headers: dict[str, str]
) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of the answer, but for its date, with the id taken out."""
    address = path.replace("{task_id}", task_id).replace("{number}", "1")
    query = "?wait=5" if "/response" in path else ""
    answer = await client.request(method, address + query, headers={**proof(BEA), **headers})
    told = [(name, value) for name, value in answer.headers.multi_items() if name != "date"]
    return answer.status_code, told, answer.content.replace(task_id.lower().encode(), b"<id>")


async def test_anothers_task_is_answered_as_an_id_that_never_was(
    installation: Inside, proxy: Stoppable, client: httpx.AsyncClient
):
    executor = await installation.executor()
    finished = await submitted(client, ANN)
    client.headers.update(proof(ANN))
    await finished_task(client, finished)
    await executor.finish()
    queued, unreadable = await submitted(client, ANN), await submitted(client, ANN)
    async with proxy.connections.database.write() as connection:
        await connection.execute(
            text("UPDATE tasks SET status = 'odd' WHERE id = :id"),
            {"id": _stored(unreadable, connection.dialect.name)},
        )
    assert (await client.get(f"/tasks/{unreadable}")).status_code == 500
    routes = routes_of_one_task()
    assert len(routes) >= 20
    for method, path in routes:
        for headers in WAYS_TO_ASK:
            never = await answered(client, method, path, str(new_task_id()), headers)
            assert never[0] == 404, (method, path, headers)
            for task_id in (queued, unreadable, finished, finished.upper()):
                seen = await answered(client, method, path, task_id, headers)
                assert seen == never, (method, path, headers)


def _stored(task_id: str, dialect: str) -> Any:
    return UUID(task_id).hex if dialect == "sqlite" else UUID(task_id)


async def test_what_is_hidden_is_not_even_read(proxy: Stoppable, client: httpx.AsyncClient):
    """A large row takes longer to read than none: how long an answer takes would tell."""
    task_id = await submitted(client, ANN)
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    database = proxy.connections.database
    engines = {database._readers.sync_engine, database._writers.sync_engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    for method, path in routes_of_one_task():
        await answered(client, method, path, task_id, {})
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)
    of_tasks = [one for one in statements if "FROM tasks" in one and "tasks.principal" in one]
    assert len(of_tasks) >= len(routes_of_one_task())
    assert len({*of_tasks}) == 1
    assert not [one for one in statements if "tasks.arguments" in one]


async def test_a_key_is_its_principals_own(installation: Inside, client: httpx.AsyncClient):
    first = await submitted(client, ANN, **{"Idempotency-Key": "one"})
    for caller in (BEA, ROB):
        answer = await client.post(
            "/create-client", json={}, headers={**proof(caller), **ASYNC, "Idempotency-Key": "one"}
        )
        assert answer.status_code == 202
        assert answer.json()["id"] != first
        assert "idempotency-joined" not in answer.headers
    again = await client.post(
        "/create-client", json={}, headers={**proof(ANN), **ASYNC, "Idempotency-Key": "one"}
    )
    assert again.json()["type"] == f"{PROBLEMS}idempotency-key-reused"
    await installation.executor()
    client.headers.update(proof(ANN))
    await finished_task(client, first)
    anew = await submitted(client, BEA, **{"Idempotency-Key": "two"})
    assert anew != await submitted(client, ANN, **{"Idempotency-Key": "two"})


async def test_equal_calls_of_two_callers_do_not_coalesce(
    installation: Inside, client: httpx.AsyncClient
):
    may_end = asyncio.Event()
    await installation.executor()
    installation.upstream.will(*[held(may_end)] * 2)
    calls = {
        caller.name: [
            asyncio.ensure_future(client.get("/look", headers=proof(caller))) for _ in range(3)
        ]
        for caller in (ANN, BEA)
    }

    def both_run() -> None:
        assert len(installation.upstream.keys) == 2

    await eventually(both_run)
    may_end.set()
    ids = {
        name: {answer.headers["task-id"] for answer in await asyncio.gather(*asked)}
        for name, asked in calls.items()
    }
    assert len(installation.upstream.keys) == 2
    assert [len(of_one) for of_one in ids.values()] == [1, 1]
    assert ids["ann"].isdisjoint(ids["bea"])


async def listed(client: httpx.AsyncClient, caller: Principal | None, **query: str) -> list[str]:
    """All pages of what the caller is listed."""
    ids: list[str] = []
    path = "/tasks?" + str(httpx.QueryParams({"page_size": "2", **query}))
    while path:
        page = await client.get(path, headers=proof(caller))
        assert page.status_code == 200, page.text
        tasks = page.json()["tasks"]
        assert page.json()["nextPageToken"] in {None, *(task["id"] for task in tasks)}
        ids += [task["id"] for task in tasks]
        path = page.links.get("next", {}).get("url", "")
    return ids


async def test_lists_and_their_pages_hold_nothing_of_others(
    client: httpx.AsyncClient, callers: Access
):
    own: dict[str, list[str]] = {"ann": [], "rob": [], "bea": []}
    for caller, path in [
        (caller, path) for path in ("/create-client", "/other") * 2 for caller in (ANN, ROB, BEA)
    ]:
        own[caller.name].insert(0, await submitted(client, caller, path))
    everything = sorted({*own["ann"], *own["rob"], *own["bea"]}, reverse=True)
    assert await listed(client, ANN) == own["ann"]
    assert await listed(client, ANN, page_token=everything[0]) == own["ann"]
    assert await listed(client, ANN, principal="bea") == []
    assert await listed(client, ANN, tenant="blue") == []
    assert await listed(client, ANN, principal="ann", status="queued") == own["ann"]
    known = NamedCallers((ANN, ROB, BEA))

    def now(*rules: Any) -> None:
        callers.replace(known, access((), *rules)._rules, ())

    now(rule(tasks=Scope.TENANT))
    of_red = sorted(own["ann"] + own["rob"], reverse=True)
    assert await listed(client, ANN) == of_red
    assert await listed(client, ANN, principal="rob") == own["rob"]
    assert await listed(client, ANN, tenant="red") == of_red
    assert await listed(client, ANN, principal="bea") == []
    now(rule(operations=("oth*",), tasks=Scope.ALL), rule())
    mixed = sorted({*own["ann"], *(await listed(client, ANN, operation="other"))}, reverse=True)
    assert len(mixed) == 8
    assert await listed(client, ANN) == mixed
    assert await listed(client, ANN, operation="create-client") == own["ann"][1::2]
    now(rule(may=EVERYTHING - {Action.READ}))
    assert await listed(client, ANN) == []
    now(rule(tasks=Scope.ALL))
    assert await listed(client, BEA) == everything
    assert await listed(client, BEA, principal="ann") == own["ann"]


async def test_a_task_tells_who_submitted_it(client: httpx.AsyncClient):
    answer = await client.post("/create-client", json={}, headers={**proof(ANN), **ASYNC})
    assert (answer.json()["principal"], answer.json()["tenant"]) == ("ann", "red")
    shown = await client.get(answer.headers["location"], headers=proof(ANN))
    assert (shown.json()["principal"], shown.json()["tenant"]) == ("ann", "red")


async def test_an_upstream_is_told_who_calls_where_the_operation_says_so(sqlite_url: str):
    telling = operation(
        upstream={
            "url": "{UPSTREAM}/of/{tenant}",
            "headers": {"X-Caller": "{principal} of {tenant}", "X-Fixed": "yes"},
        }
    )
    seen: list[tuple[str, str | None]] = []

    async def note(request: Any) -> Any:
        seen.append((request.path, request.headers.get("X-Caller")))
        assert await request.json() == {"name": "Ann"}
        return await status(201)(request)

    async with inside(telling, database_url=sqlite_url, broker_url="memory://") as installation:
        known = access((ANN, BEA))
        client = await installation.client(await installation.proxy(access=known))
        await installation.executor()
        installation.upstream.will(note, note)
        for caller in (ANN, BEA):
            answer = await client.post(
                "/create-client", json={"name": "Ann"}, headers=proof(caller)
            )
            assert answer.status_code == 201, answer.text
    assert seen == [("/of/red", "ann of red"), ("/of/blue", "bea of blue")]


async def test_anonymous_callers_share_what_came_without_a_name(sqlite_url: str):
    async with inside(database_url=sqlite_url, broker_url="memory://") as installation:
        known = access((ANN,))
        known._authenticator.known[""] = ANONYMOUS  # type: ignore[attr-defined]
        client = await installation.client(await installation.proxy(access=known))
        task_id = await submitted(client, ANN)
        answer = await client.post("/create-client", json={}, headers=ASYNC)
        assert answer.json()["principal"] is None
        assert (await client.get(answer.headers["location"])).status_code == 200
        assert (await client.get(f"/tasks/{task_id}")).status_code == 404
        assert await listed(client, None) == [answer.json()["id"]]
        assert await listed(client, ANN) == [task_id]


class Events:
    """An event stream as it comes."""

    def __init__(self) -> None:
        self.text = ""
        self.has_ended = False


async def follow(client: httpx.AsyncClient, task_id: str, events: Events) -> None:
    address = f"/tasks/{task_id}/events"
    async with client.stream("GET", address, headers=proof(ANN)) as stream:
        async for part in stream.aiter_text():
            events.text += part
    events.has_ended = True


@pytest.mark.parametrize("withdrawn", ["rule", "proof"])
async def test_what_is_withdrawn_ends_for_those_who_wait(
    client: httpx.AsyncClient, callers: Access, withdrawn: str
):
    task_id = await submitted(client, ANN)
    events = Events()
    stream = asyncio.ensure_future(follow(client, task_id, events))
    address = f"/tasks/{task_id}"
    waiting = {**proof(ANN), "Prefer": "wait=30"}
    polls = [
        asyncio.ensure_future(client.get(address, headers=waiting)),
        asyncio.ensure_future(client.get(f"{address}/response?wait=30", headers=proof(ANN))),
    ]

    def begun() -> None:
        assert "event: queued" in events.text

    await eventually(begun)
    known = NamedCallers((ANN, BEA) if withdrawn == "rule" else (BEA,))
    sees_all = rule(principals=("bea",), tasks=Scope.ALL)
    rules = (sees_all,) if withdrawn == "rule" else (sees_all, rule())
    callers.replace(known, access((), *rules)._rules, ())
    assert (await client.post(f"{address}/cancel", headers=proof(BEA))).status_code == 200
    await asyncio.wait_for(stream, 20)
    told = [answer.status_code for answer in await asyncio.gather(*polls)]
    assert told == [404 if withdrawn == "rule" else 401] * 2
    assert events.has_ended
    assert "cancelled" not in events.text
