"""An upstream that bears little, called by real processes that are killed meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest

from asynctestkit.calls import caller, get_task
from asynctestkit.eventually import eventually
from asynctestkit.processes import Installation, Keep, Service, start_all
from asynctestkit.recording_upstream import RecordingUpstream, most_at_once

CONCURRENCY, FAILURES = 4, 3
OPEN_SECONDS = [1, 2]
LEASE_SECONDS = 3
OPERATIONS = f"""
limits:
  orders:
    concurrency: {CONCURRENCY}
    breaker: {{failures: {FAILURES}, withinSeconds: 30, openSeconds: {OPEN_SECONDS}}}
operations:
  create-order:
    route: POST /orders
    queue: clients
    limits: [orders]
    upstream: {{url: "{{ORDERS_URL}}", timeoutSeconds: 10}}
    retry: {{maxAttempts: 3, backoffSeconds: [0.05, 0.1]}}
"""


@dataclass
class Scene:
    upstream: RecordingUpstream
    executors: list[Service]
    client: httpx.AsyncClient

    async def submit(self, number: int) -> list[str]:
        answers = [
            await self.client.post("/orders", json={}, headers={"Prefer": "respond-async"})
            for _ in range(number)
        ]
        assert {answer.status_code for answer in answers} == {202}
        return [answer.json()["id"] for answer in answers]

    async def all_ended(self, ids: list[str]) -> list[dict[str, Any]]:
        async def have_ended() -> list[dict[str, Any]]:
            tasks = [await get_task(self.client, task_id) for task_id in ids]
            unfinished = [task for task in tasks if task["status"] in {"queued", "running"}]
            assert unfinished == []
            return tasks

        return await eventually(have_ended, timeout_seconds=90)


@pytest.fixture
async def scene(install: Callable[..., Installation], keep: Keep) -> AsyncIterator[Scene]:
    upstream = RecordingUpstream(seconds=0.2)
    async with upstream.serving() as url:
        installation = install(OPERATIONS, {"ORDERS_URL": url}, lease_seconds=LEASE_SECONDS)
        await asyncio.to_thread(installation.migrate)
        proxy = installation.proxy()
        executors = [installation.executor(f"executor-{number}") for number in (1, 2)]
        await asyncio.to_thread(start_all, keep, proxy, *executors)
        async with caller(proxy.url) as client:
            yield Scene(upstream, executors, client)


async def test_a_backlog_outlives_its_upstreams_outage_and_does_not_keep_it_down(scene: Scene):
    scene.upstream.is_down = True
    ids = await scene.submit(40)

    def has_been_probed() -> None:
        assert scene.upstream.refused >= FAILURES + CONCURRENCY + 4

    await eventually(has_been_probed, timeout_seconds=90)
    # By one attempt each second or two, however many wait and however many executors there are.
    probes = [call.began for call in scene.upstream.calls[-4:]]
    assert min(later - earlier for earlier, later in pairwise(probes)) >= OPEN_SECONDS[0]
    scene.upstream.is_down = False

    tasks = await scene.all_ended(ids)

    assert {task["status"] for task in tasks} == {"succeeded"}
    ended = [entry["outcome"] for task in tasks for entry in task["attempts"]]
    assert ended.count("failed") < FAILURES
    assert ended.count("given back") >= 4
    assert ended.count("succeeded") == len(ids)
    assert most_at_once(scene.upstream.calls) <= CONCURRENCY


async def test_a_killed_executors_places_come_back_with_its_leases(scene: Scene):
    ids = await scene.submit(30)

    def is_under_way() -> None:
        assert len(scene.upstream.calls) >= CONCURRENCY + 2

    await eventually(is_under_way, timeout_seconds=30)
    await asyncio.to_thread(scene.executors[0].kill)

    tasks = await scene.all_ended(ids)

    assert {task["status"] for task in tasks} == {"succeeded"}
    assert most_at_once(scene.upstream.calls) <= CONCURRENCY
