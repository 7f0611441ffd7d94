"""Each page of docs/recipes/ works as it stands, before an upstream of its kind."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from asynctasks.operations.operation import Operation
from asynctasks.operations.operations_file import parse_operations
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, inside
from asynctestkit.job_upstream import JobUpstream, job_upstream

RECIPES = Path(__file__).parents[2] / "docs/recipes"
NAMES = sorted(path.stem for path in RECIPES.glob("*.md"))


def declared(name: str, *, quick: bool = True) -> Operation:
    """The operation of the page, its executors' queue being that of the tests."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (RECIPES / f"{name}.md").read_text(), re.DOTALL)
    seconds = "[0.05, 0.1]" if quick else "[3600, 3600]"
    assert "everySeconds: [1, 30]" in text
    text = text.replace("everySeconds: [1, 30]", f"everySeconds: {seconds}")
    (operation,) = parse_operations(text, name=name).values()
    return operation.model_copy(update={"queue": "clients"})


def test_there_is_a_recipe_of_each_kind():
    assert NAMES == ["aip-151", "azure", "ogc-processes", "see-other"]


@pytest.mark.parametrize("name", NAMES)
async def test_the_caller_gets_the_jobs_result_or_learns_that_it_failed(name: str, sqlite_url: str):
    operation = declared(name)
    async with job_upstream() as upstream, _place(operation, upstream, sqlite_url) as place:
        proxy = await place.proxy()
        await place.executor()
        client = await place.client(proxy)
        answer = await client.post(operation.path, json={})
        assert (answer.status_code, answer.json()) == (200, {"result": "1"})
        task = (await client.get(f"/tasks/{answer.headers['task-id']}")).json()
        told = operation.upstream and operation.upstream.poll and operation.upstream.poll.progress
        assert task["progress"] == (100 if told else None)
        upstream.fails = True
        failed = await client.post(operation.path, json={})
        assert failed.status_code == 502
        assert failed.json()["type"].endswith("/upstream-job-failed")
        assert len(upstream.keys) == 2


@pytest.mark.parametrize("name", NAMES)
async def test_a_cancel_ends_the_job(name: str, sqlite_url: str):
    operation = declared(name, quick=False)
    async with job_upstream() as upstream, _place(operation, upstream, sqlite_url) as place:
        proxy = await place.proxy()
        await place.executor()
        client = await place.client(proxy)
        task_id = (await client.post(operation.path, json={}, headers=ASYNC)).json()["id"]

        async def has_job() -> None:
            assert (await client.get(f"/tasks/{task_id}")).json()["upstreamJob"] is not None

        await eventually(has_job)
        await client.post(f"/tasks/{task_id}/cancel")

        def is_ended() -> None:
            assert upstream.cancelled == ["1"]

        await eventually(is_ended)


@asynccontextmanager
async def _place(
    operation: Operation, upstream: JobUpstream, database_url: str
) -> AsyncGenerator[Inside]:
    async with inside(
        operation,
        database_url=database_url,
        broker_url="memory://",
        relay_interval_seconds=0.05,
    ) as place:
        place.environment = {"API_URL": upstream.url, "API_KEY": "secret"}
        yield place
