"""What callers may have at a time: never above it, over all proxies, and the others pay nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from asyncproxy.access.principal import Principal
from asyncproxy.access.quota import Quota
from asyncproxy.access.rules import Scope
from asynctasks.database import Database
from asynctestkit.callers import access, as_caller, rule
from asynctestkit.calls import PROBLEMS, caller, finished_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, Stoppable, held, inside, operation

ANN, BOB = Principal(name="ann", tenant="red"), Principal(name="bob", tenant="red")
ROB, LONE = Principal(name="rob", tenant="blue"), Principal(name="lone")
CALLERS = (ANN, BOB, ROB, LONE)
COALESCING = operation("find", route="GET /find", coalesce=True, arguments={"type": "object"})


def quota(**declared: Any) -> Quota:
    return Quota.model_validate({"per": "tenant", **declared})


@pytest.fixture
async def installation(database_url: str) -> AsyncIterator[Inside]:
    async with inside(
        operation(), COALESCING, database_url=database_url, broker_url="memory://"
    ) as installation:
        yield installation


async def started(installation: Inside, *quotas: Quota) -> Stoppable:
    everyone = rule(tasks=Scope.TENANT)
    return await installation.proxy(access=access(CALLERS, everyone, quotas=quotas))


async def of(proxy: Stoppable, installation: Inside, who: Principal) -> httpx.AsyncClient:
    return await as_caller(await installation.client(proxy), who)


async def submit(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/create-client", json={}, headers={**ASYNC, **named})


def refused(answer: httpx.Response, policy: str) -> bool:
    """Whether it is a 429 that says by which quota."""
    if answer.status_code != 429:
        return False
    document = answer.json()
    assert document["type"] == f"{PROBLEMS}quota-exceeded"
    assert document["violated-policies"] == [policy]
    assert answer.headers["ratelimit"].startswith(f'"{policy}";r=0;t=')
    assert answer.headers["ratelimit-policy"].startswith(f'"{policy}";q=')
    assert int(answer.headers["retry-after"]) >= 1
    return True


def was_cancelled(answer: httpx.Response) -> bool:
    """Whether another caller has ended the task that this one joined."""
    return answer.status_code == 409 and answer.json()["type"] == f"{PROBLEMS}task-cancelled"


async def test_proxies_with_connections_of_their_own_never_accept_more_than_they_may_together(
    postgresql_url: str, amqp_url: str, queue_prefix: str, open_parts: Callable[..., Any]
):
    """Whatever kind of calls, all at once, and while others end."""
    async with (
        # Its connection is its own: the proxies' are all in use.
        open_parts(postgresql_url) as observer,
        inside(
            operation(),
            COALESCING,
            database_url=postgresql_url,
            broker_url=amqp_url,
            broker_prefix=queue_prefix,
        ) as installation,
    ):
        limits = (quota(queued=20), quota(per="principal", queued=15))
        proxies = [await started(installation, *limits) for _ in range(2)]
        clients = [await of(proxy, installation, who) for proxy in proxies for who in (ANN, BOB)]
        most = await waiting(observer.database)  # connected before the proxies are busy
        ended = asyncio.Event()

        async def watch() -> None:
            nonlocal most
            while not ended.is_set():
                most = max(most, await waiting(observer.database))

        async def call(client: httpx.AsyncClient, number: int) -> None:
            answer = await [
                submit,
                partial(submit, Idempotency_Key=f"key-{number % 7}"),
                partial(httpx.AsyncClient.get, url="/find", headers=ASYNC),
            ][number % 3](client)
            # 503: a machine that is busy may take long to find the task that is joined.
            expected = answer.status_code in {202, 429, 503} or was_cancelled(answer)
            assert expected, answer.text
            if answer.status_code == 202 and number % 2:
                await client.post(f"/tasks/{answer.json()['id']}/cancel")

        watching = asyncio.ensure_future(watch())
        try:
            await asyncio.gather(*(call(client, n) for n in range(60) for client in clients))
            # To the brim, by those that cannot end.
            await asyncio.gather(*(submit(client) for _ in range(10) for client in clients))
        finally:
            ended.set()
            await watching
        assert most == await waiting(observer.database) == 20


async def waiting(database: Database) -> int:
    async with database.read() as connection:
        counted = "SELECT count(*) FROM tasks WHERE status = 'queued' AND tenant = 'red'"
        return await connection.scalar(text(counted)) or 0


async def test_many_callers_at_two_proxies_have_what_their_tenant_may(installation: Inside):
    limit = quota(queued=25)
    proxies = [await started(installation, limit) for _ in range(2)]
    clients = [await of(proxy, installation, who) for proxy in proxies for who in (ANN, BOB)]
    other = await of(proxies[0], installation, ROB)
    calls = [submit(client) for client in clients for _ in range(30)]
    answers = await asyncio.gather(*calls, *(submit(other) for _ in range(10)))
    of_red, of_blue = answers[: len(calls)], answers[len(calls) :]
    assert Counter(answer.status_code for answer in of_red) == {202: 25, 429: 95}
    assert all(refused(answer, "tenant-queued") for answer in of_red if answer.status_code != 202)
    assert {answer.status_code for answer in of_blue} == {202}
    ended = next(answer for answer in of_red if answer.status_code == 202)
    # What ends makes room for one more, and for no second.
    cancelled = await clients[0].post(f"/tasks/{ended.json()['id']}/cancel")
    assert cancelled.status_code == 200
    again = [await submit(client) for client in clients]
    assert sorted(answer.status_code for answer in again) == [202, 429, 429, 429]
    # Nor does a retry pass by it.
    retried = await clients[0].post(f"/tasks/{ended.json()['id']}/retry")
    assert refused(retried, "tenant-queued")


async def test_running_alone_bounds_all_that_has_not_finished(installation: Inside):
    proxy = await started(installation, quota(running=3))
    await installation.executor()
    may_end = asyncio.Event()
    installation.upstream.will(*[held(may_end)] * 3)
    client = await of(proxy, installation, ANN)
    answers = [await submit(client) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]

    def all_run() -> None:
        assert len(installation.upstream.keys) == 3

    await eventually(all_run)
    assert refused(await submit(client), "tenant-running")
    may_end.set()
    for answer in answers[:3]:
        await finished_task(client, answer.json()["id"])
    assert (await submit(client)).status_code == 202


async def test_queued_and_running_together_bound_what_waits_and_what_has_not_finished(
    installation: Inside,
):
    proxy = await started(installation, quota(queued=2, running=1))
    client = await of(proxy, installation, ANN)
    answers = [await submit(client) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert refused(answers[2], "tenant-queued")
    await installation.executor()
    installation.upstream.will(*[held(asyncio.Event())] * 3)

    def both_run() -> None:
        assert len(installation.upstream.keys) == 2

    await eventually(both_run)
    last = [await submit(client) for _ in range(2)]
    assert last[0].status_code == 202
    assert refused(last[1], "tenant-running")


async def test_who_joins_a_task_needs_no_place(installation: Inside):
    proxy = await started(installation, quota(queued=2))
    client = await of(proxy, installation, ANN)
    first = [await submit(client, Idempotency_Key="one") for _ in range(3)]
    assert {answer.headers["task-id"] for answer in first} == {first[0].headers["task-id"]}
    found = [await client.get("/find", headers=ASYNC) for _ in range(2)]
    assert [answer.status_code for answer in found] == [202, 202]
    for new in (submit(client, Idempotency_Key="two"), submit(client)):
        assert refused(await new, "tenant-queued")
    assert (await submit(client, Idempotency_Key="one")).status_code == 202
    assert (await client.get("/find", headers=ASYNC)).status_code == 202


async def test_a_quota_of_each_principal_holds_beside_that_of_the_tenant(installation: Inside):
    proxy = await started(installation, quota(queued=3), quota(per="principal", queued=2))
    ann, bob, lone = [await of(proxy, installation, who) for who in (ANN, BOB, LONE)]
    assert [(await submit(ann)).status_code for _ in range(2)] == [202, 202]
    assert refused(await submit(ann), "principal-queued")
    assert (await submit(bob)).status_code == 202
    assert refused(await submit(bob), "tenant-queued")
    # Who has no tenant is its own.
    assert [(await submit(lone)).status_code for _ in range(3)] == [202, 202, 429]


async def test_two_proxies_share_the_rate_and_a_caller_is_told_what_is_left(
    installation: Inside,
):
    rate = quota(submit={"ratePerSecond": 0.01, "burst": 10})
    proxies = [await started(installation, rate) for _ in range(2)]

    async def both_are_counted() -> None:
        database = proxies[0].connections.database
        async with database.read() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM proxies")) == 2

    await eventually(both_are_counted)
    # The first one learns of the second by its next beat.
    await asyncio.sleep(2.2)
    answers: list[list[httpx.Response]] = []
    for proxy in proxies:
        client = await of(proxy, installation, ANN)
        answers.append([await submit(client) for _ in range(7)])
    for of_one in answers:
        assert [answer.status_code for answer in of_one] == [202] * 5 + [429] * 2
        assert of_one[0].headers["ratelimit-policy"] == '"tenant-submit";q=10;w=1000'
        left = [answer.headers["ratelimit"].split(";")[1] for answer in of_one]
        assert left == ["r=4", "r=3", "r=2", "r=1", "r=0", "r=0", "r=0"]
        assert refused(of_one[-1], "tenant-submit")
        assert 190 <= int(of_one[-1].headers["retry-after"]) <= 200
    other = await submit(await of(proxies[0], installation, ROB))
    assert other.status_code == 202


async def test_a_caller_holds_only_so_many_connections(installation: Inside):
    proxy = await started(installation, quota(waiting=2))
    await installation.executor()
    may_end = asyncio.Event()
    installation.upstream.will(*[held(may_end)] * 3)
    ann, bob = await of(proxy, installation, ANN), await of(proxy, installation, BOB)
    waiting = [
        asyncio.ensure_future(client.post("/create-client", json={})) for client in (ann, bob)
    ]

    def both_wait() -> None:
        assert len(installation.upstream.keys) == 2

    await eventually(both_wait)
    assert refused(await ann.post("/create-client", json={}), "tenant-waiting")
    assert (await submit(ann)).status_code == 202
    may_end.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [201, 201]
    assert (await ann.post("/create-client", json={})).status_code == 201


async def test_without_quotas_nothing_is_counted_and_nothing_is_told(installation: Inside):
    proxy = await started(installation)
    answer = await submit(await of(proxy, installation, ANN))
    assert answer.status_code == 202
    assert not [name for name in answer.headers if name.startswith("ratelimit")]
    async with proxy.connections.database.read() as connection:
        for nothing in ("tasks WHERE counted IS NOT NULL", "proxies"):
            assert await connection.scalar(text(f"SELECT count(*) FROM {nothing}")) == 0
    plain = await installation.proxy()
    async with caller(plain.url) as client:
        assert (await submit(client)).status_code == 202


FILE = """
authentication: {anonymous: allow}
rules: [{may: [submit, read]}]
quotas: [{per: principal, queued: %d}]
"""


async def test_the_access_files_quotas_hold_for_whoever_shows_nothing_and_follow_the_file(
    database_url: str, tmp_path: Path
):
    file = tmp_path / "access.yaml"
    file.write_text(FILE % 2)
    async with inside(
        database_url=database_url, broker_url="memory://", access_file=file
    ) as installation:
        client = await installation.client(await installation.proxy())
        assert [(await submit(client)).status_code for _ in range(3)] == [202, 202, 429]
        file.write_text(FILE % 3)

        async def one_more() -> None:
            assert (await submit(client)).status_code == 202

        await eventually(one_more)
        assert refused(await submit(client), "principal-queued")


async def test_a_proxy_that_has_ended_leaves_its_share_to_the_others(installation: Inside):
    rate = quota(submit={"ratePerSecond": 1, "burst": 10})
    proxy = await started(installation, rate)
    database = proxy.connections.database
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM proxies")) == 1
    await proxy.finish()
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM proxies")) == 0
