"""Both clients against a real proxy and executor."""

import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from asyncapiproxy import (
    AsyncClient,
    CallRefusedError,
    ConflictError,
    NotFoundError,
    OperationUnknownError,
    TaskCancelledError,
    TaskFailedError,
    TaskFilter,
    TaskState,
    TaskUnfinishedError,
)
from asynctestkit.either_client import KINDS, either_client
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.inside import Inside, inside, operation, slow, status

UNKNOWN_ID = "01a20d2b-c3ed-76f0-8622-758cfbed0d1d"
CREATE = operation(
    "create-client",
    arguments={
        "type": "object",
        "additionalProperties": False,
        "properties": {"name": {"type": "string"}, "email": {"type": "string", "format": "email"}},
    },
)
SCAN = operation("scan", body={"contentTypes": ["application/pdf"]}, arguments={"type": "object"})


@pytest.fixture
async def installation(sqlite_url: str) -> AsyncIterator[Inside]:
    async with inside(CREATE, SCAN, database_url=sqlite_url, broker_url="memory://") as found:
        yield found


@pytest.fixture(params=KINDS)
async def client(
    request: pytest.FixtureRequest, installation: Inside
) -> AsyncIterator[AsyncClient]:
    proxy = await installation.proxy()
    await installation.executor()
    async with either_client(request.param, proxy.url) as found:
        yield found


async def test_an_answer_in_time_is_the_upstreams(client: AsyncClient):
    task = await client.submit("create-client", {"name": "Ann"})
    assert (task.status, task.is_done) == ("succeeded", True)
    response = await task.result()
    assert (response.status_code, response.json()) == (201, {"number": 1})
    state = await task.refresh()
    assert (state.attempt, state.arguments) == (1, {"name": "Ann"})


async def test_an_answer_that_is_late_is_waited_for(client: AsyncClient, installation: Inside):
    installation.upstream.will(slow(0.5))
    task = await client.submit("create-client", wait=0, labels={"team": "a"}, priority=7)
    assert not task.is_done
    assert (task.state.labels, task.state.priority) == ({"team": "a"}, 7)
    with pytest.raises(TaskUnfinishedError):
        await task.result(timeout=0.01)
    assert (await task.result(timeout=PATIENCE_SECONDS)).json() == {"slow": 0.5}
    assert task.is_done


async def test_every_change_is_told_until_the_end(client: AsyncClient, installation: Inside):
    installation.upstream.will(slow(0.5))
    task = await client.submit("create-client", {"name": "a\u2028b"}, wait=0)
    seen: list[TaskState] = [state async for state in task.events()]
    assert seen[-1].status == "succeeded"
    assert seen[-1].arguments == {"name": "a\u2028b"}
    assert [state.etag for state in seen] == sorted({str(state.etag) for state in seen})
    assert [state.status async for state in task.events()] == ["succeeded"]


async def test_a_refresh_waits_for_the_next_change(client: AsyncClient, installation: Inside):
    installation.upstream.will(slow(0.5))
    task = await client.submit("create-client", wait=0)
    while not (await task.refresh(wait=PATIENCE_SECONDS)).is_done:
        pass
    assert task.status == "succeeded"


async def test_a_task_that_fails_says_why(client: AsyncClient, installation: Inside):
    installation.upstream.will(status(409), *[status(503)] * 3)
    refused = await client.submit("create-client")
    assert refused.status == "failed"
    with pytest.raises(TaskFailedError) as raised:
        await refused.result()
    assert raised.value.response is not None
    assert raised.value.response.status_code == 409
    failed = await client.submit("create-client")
    with pytest.raises(TaskFailedError) as raised:
        await failed.result()
    assert raised.value.problem is not None
    assert raised.value.problem.name == "upstream-failed"


async def test_a_task_is_cancelled_retried_and_deleted(client: AsyncClient, installation: Inside):
    installation.upstream.will(slow(PATIENCE_SECONDS))
    task = await client.submit("create-client", delay=PATIENCE_SECONDS, wait=0)
    assert task.state.next_attempt_at is not None
    assert (await task.cancel()).status == "cancelled"
    with pytest.raises(TaskCancelledError):
        await task.result()
    with pytest.raises(ConflictError):
        await task.cancel()
    assert (await task.retry()).status in {"queued", "running"}
    with pytest.raises(ConflictError):
        await task.delete()
    await task.cancel()
    with pytest.raises(TaskCancelledError):
        await task.result()
    await task.delete()
    with pytest.raises(NotFoundError):
        await client.get(task.id)


async def test_many_tasks_are_acted_on_at_once(client: AsyncClient):
    made = [
        await client.submit("create-client", delay=PATIENCE_SECONDS, wait=0, labels={"n": str(n)})
        for n in range(3)
    ]
    all_queued = TaskFilter(status="queued", operation="create-client")
    counts = await client.count_batch("cancel", all_queued)
    assert (counts.matched, counts.statuses, counts.is_complete) == (3, {"queued": 3}, True)
    one = await client.batch("cancel", TaskFilter(labels={"n": "1"}))
    while not one.is_done:
        one = await client.find_batch(one.id)
    assert (one.action, one.status, one.counts["done"], one.failures) == (
        *("cancel", "succeeded", 1),
        {},
    )
    assert [(await task.refresh()).status for task in made] == ["queued", "cancelled", "queued"]
    other = await client.batch("cancel", all_queued)
    assert [batch.id async for batch in client.batches(page_size=1)] == [other.id, one.id]
    with pytest.raises(ConflictError):
        await client.cancel_batch(one.id)
    with pytest.raises(NotFoundError):
        await client.find_batch(UNKNOWN_ID)
    with pytest.raises(CallRefusedError) as raised:
        await client.batch("retry", TaskFilter(status="succeeded"))
    assert [fault.place for fault in raised.value.problem.faults] == ["/filter/status"]


async def test_tasks_are_listed_over_all_pages(client: AsyncClient):
    made = [await client.submit("create-client", labels={"n": str(n)}) for n in range(5)]
    listed = [task.id async for task in client.tasks(page_size=2)]
    assert listed == [task.id for task in reversed(made)]
    one = [task.id async for task in client.tasks(labels={"n": "3"}, status="succeeded")]
    assert one == [made[3].id]


async def test_a_lists_tasks_tell_their_arguments_where_all_is_asked_for(client: AsyncClient):
    await client.submit("create-client", {"name": "Ann"})
    assert [task.state.arguments async for task in client.tasks()] == [None]
    full = [task.state.arguments async for task in client.tasks(view="full")]
    assert full == [{"name": "Ann"}]


async def test_a_key_joins_the_first_task(client: AsyncClient):
    first = await client.submit("create-client", {"name": "Ann"}, key="mine")
    assert (await client.submit("create-client", {"name": "Ann"}, key="mine")).id == first.id
    assert (await client.submit("create-client", {"name": "Ann"})).id != first.id
    with pytest.raises(CallRefusedError) as raised:
        await client.submit("create-client", {"name": "Bob"}, key="mine")
    assert raised.value.problem.name == "idempotency-key-reused"


async def test_what_is_wrong_is_told_by_its_place(client: AsyncClient):
    with pytest.raises(CallRefusedError) as raised:
        await client.submit("create-client", {"email": "ann"})
    assert [fault.place for fault in raised.value.problem.faults] == ["/email"]
    with pytest.raises(OperationUnknownError):
        await client.submit("create-clint")
    with pytest.raises(NotFoundError):
        await client.get(UNKNOWN_ID)


async def test_files_are_sent_and_large_answers_read_in_parts(
    client: AsyncClient, installation: Inside
):
    sent: list[bytes] = []

    async def echo(request: Any) -> Any:
        sent.append(await request.read())
        return web.Response(body=sent[-1], content_type="application/pdf")

    installation.upstream.will(echo)
    file = io.BytesIO(b"-" + b"%PDF" * 50_000)
    file.seek(1)
    task = await client.submit("scan", body=file, content_type="application/pdf")
    async with task.response(timeout=PATIENCE_SECONDS) as response:
        assert response.headers["content-type"] == "application/pdf"
        parts = [part async for part in response.aiter_bytes()]
    assert b"".join(parts) == sent[0] == b"%PDF" * 50_000
    assert len(parts) > 1


async def test_operations_and_other_paths_are_asked_for(client: AsyncClient):
    assert set(await client.operations()) == {"create-client", "scan"}
    assert (await client.ask("GET", "/whoami")).json()["principal"] is None
    with pytest.raises(NotFoundError):
        await client.ask("GET", "/limits/nobody")


async def test_many_calls_are_submitted_by_few_requests(client: AsyncClient):
    names = [f"client {number}" for number in range(600)]
    calls = [{"name": name} for name in names] + [{"name": 7}]
    many = [one async for one in client.submit_many("create-client", calls, batch="import")]
    assert [one.task_id is None for one in many] == [False] * 600 + [True]
    problem = many[-1].problem
    assert problem is not None
    assert [fault.place for fault in problem.faults] == ["/arguments/name"]

    again = [
        one.task_id
        async for one in client.submit_many("create-client", calls[:3], key=lambda _: many[0].key)
    ]
    assert again[0] == many[0].task_id
    listed = {task.id async for task in client.tasks(batch="import", page_size=1000)}
    assert listed == {one.task_id for one in many[:-1]}
