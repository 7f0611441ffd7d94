"""Equal calls of a GET operation that coalesces share one task, until it has finished."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from asynctasks.errors import DatabaseUnavailableError
from asynctasks.operations.new_task import NewTask
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.statements.conditions import tasks
from asynctasks.statements.store import Added, TaskStore
from asynctasks.task import TaskStatus
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, held, inside, one_of_each, operation

PLACE: dict[str, Any] = {"type": "object", "properties": {"place": {"type": "string"}}}
WEATHER = operation(
    "weather",
    route="GET /weather",
    parameters=[{"name": "place", "in": "query"}],
    arguments=PLACE,
    coalesce=True,
    upstream={
        "method": "GET",
        "url": "{UPSTREAM}/weather{?place}",
        "forwardHeaders": ["Accept-Language", "traceparent"],
    },
)
DONE = Outcome(TaskStatus.SUCCEEDED, response=Response(200, "text/plain", b""))


@pytest.fixture
async def weather(sqlite_url: str) -> AsyncIterator[Inside]:
    async with inside(WEATHER, database_url=sqlite_url, broker_url="memory://") as installation:
        yield installation


async def get(
    client: httpx.AsyncClient, place: str = "Bonn", *, method: str = "GET", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.request(method, f"/weather?place={place}", headers=named)


async def waiting_with(installation: Inside, *calls: Any) -> tuple[asyncio.Event, list[Any]]:
    """What ends the one call of the upstream that the first of these has led to, and all calls."""
    may_end = asyncio.Event()
    installation.upstream.will(held(may_end))
    first = asyncio.ensure_future(calls[0])

    def runs() -> None:
        assert len(installation.upstream.keys) == 1

    await eventually(runs)
    return may_end, [first, *map(asyncio.ensure_future, calls[1:])]


async def test_an_equal_call_joins_the_one_that_runs(weather: Inside):
    client = await one_of_each(weather)
    other = await weather.client(await weather.proxy())
    may_end, calls = await waiting_with(
        weather,
        get(client, accept_language="de", traceparent="00-1-1-01"),
        get(other, accept_language="de", traceparent="00-2-2-01"),
        get(client, accept_language="de", method="HEAD"),
    )
    late = await get(client, accept_language="de", prefer="respond-async")
    assert (late.status_code, late.headers["idempotency-joined"]) == (202, "true")
    may_end.set()
    answers = await asyncio.gather(*calls)
    assert {answer.headers["task-id"] for answer in answers} == {late.headers["task-id"]}
    assert [answer.headers.get("idempotency-joined") for answer in answers] == [
        None,
        "true",
        "true",
    ]
    assert len(weather.upstream.keys) == 1
    following = await get(client, accept_language="de")
    assert following.headers["task-id"] != late.headers["task-id"]
    assert "idempotency-joined" not in following.headers


async def test_a_call_that_differs_or_wants_its_own_has_its_own_task(weather: Inside):
    client = await weather.client(await weather.proxy())
    calls = [
        await get(client, **{"prefer": "respond-async", **headers}, place=place)
        for place, headers in (
            ("Bonn", {}),
            ("Bonn", {}),
            ("Rome", {}),
            ("Bonn", {"accept_language": "it"}),
            ("Bonn", {"idempotency_key": "1"}),
            ("Bonn", {"task_labels": "a=b"}),
            ("Bonn", {"task_deadline": "90"}),
            ("Bonn", {"task_delay": "0"}),
        )
    ]
    assert [call.status_code for call in calls] == [202] * 8
    assert len({call.headers["task-id"] for call in calls}) == 7
    assert calls[1].headers["idempotency-joined"] == "true"


async def test_a_cancel_by_one_is_for_all_who_joined(weather: Inside):
    client = await one_of_each(weather)
    _, calls = await waiting_with(weather, get(client), get(client))
    late = await get(client, prefer=ASYNC["Prefer"])
    await client.post(f"/tasks/{late.headers['task-id']}/cancel")
    for answer in await asyncio.gather(*calls):
        assert answer.json()["type"].endswith("/task-cancelled")


def weather_task(new_task: Callable[..., NewTask], **values: Any) -> NewTask:
    return new_task(operation="create-client", coalescing_key="same", **values)


async def finished(store: Any, claims: Any, task_id: Any) -> None:
    claimed = await claims.claim(task_id)
    assert claimed is not None
    await claims.finish(claimed, DONE)
    assert (await store.find(task_id)).status is TaskStatus.SUCCEEDED


async def test_equal_tasks_of_two_proxies_are_one_until_it_has_finished(
    open_parts: Any, database_url: str, new_task: Callable[..., NewTask]
):
    async with AsyncExitStack() as stack:
        views = [await stack.enter_async_context(open_parts(database_url)) for _ in range(2)]
        added = await asyncio.gather(
            *(view.store.add(weather_task(new_task)) for _ in range(20) for view in views)
        )
        assert len({one.id for one in added}) == 1
        assert [one.is_new for one in added].count(True) == 1
        await finished(views[0].store, views[0].claims("e"), added[0].id)
        again = await views[1].store.add(weather_task(new_task))
        assert again.is_new
        for differs in ({"principal": "ann"}, {"tenant": "red"}, {"coalescing_key": "other"}):
            own = new_task(**{"coalescing_key": "same", **differs})
            assert (await views[1].store.add(own)).is_new


async def test_a_retried_task_is_beside_the_equal_one_that_runs(
    parts: Any, new_task: Callable[..., NewTask]
):
    first = await parts.store.add(weather_task(new_task))
    await parts.store.cancel(first.id)
    second = await parts.store.add(weather_task(new_task))
    assert second.is_new
    await parts.store.retry(first.id, more_attempts=1)
    assert (await parts.store.add(weather_task(new_task))).id == second.id


class Commits:
    """What stores tasks, and finds so many times that the equal of one has finished just then."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def write(self, _: Any, task: NewTask) -> Added | None:
        self.left -= 1
        return None if self.left >= 0 else Added(task.id, is_new=True, fingerprint=None)


async def test_a_task_whose_equal_finishes_as_it_comes_is_stored_all_the_same(
    new_task: Callable[..., NewTask],
):
    nowhere: Any = None
    for times in (0, 1, 4):
        commits: Any = Commits(times)
        assert (await TaskStore(nowhere, commits).add(weather_task(new_task))).is_new
    commits = Commits(5)
    with pytest.raises(DatabaseUnavailableError, match="finish faster"):
        await TaskStore(nowhere, commits).add(weather_task(new_task))


async def test_none_is_lost_where_equals_finish_while_others_come(
    open_parts: Any, database_url: str, new_task: Callable[..., NewTask]
):
    async with AsyncExitStack() as stack:
        views = [await stack.enter_async_context(open_parts(database_url)) for _ in range(2)]
        made: set[Any] = set()

        async def add_and_finish(view: Any) -> None:
            for _ in range(30):
                added = await view.store.add(weather_task(new_task))
                if added.is_new:
                    made.add(added.id)
                    await finished(view.store, view.claims("e"), added.id)

        await asyncio.gather(*(add_and_finish(view) for view in views for _ in range(4)))
        async with views[0].database.read() as connection:
            rows = (await connection.execute(select(func.count()).select_from(tasks))).scalar_one()
        assert rows == len(made) > 1
