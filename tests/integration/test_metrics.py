"""What a life of tasks leaves behind in the metrics."""

import asyncio
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from asynctestkit.calls import finished_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import accepted, held, inside, one_of_each, status


async def read(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """The values by metric and labels. They count for the whole of the tests' process."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


class Meter:
    """What has changed since it was made."""

    def __init__(self, client: httpx.AsyncClient, before: dict[tuple[str, ...], float]) -> None:
        self._client = client
        self._before = before

    async def eventually(self, *changes: Any) -> None:
        async def changed() -> None:
            now = await read(self._client)
            for *key, change in changes:
                name = tuple(key)
                assert now.get(name, 0) - self._before.get(name, 0) == change, name

        await eventually(changed)


async def meter(client: httpx.AsyncClient) -> Meter:
    return Meter(client, await read(client))


async def test_calls_are_counted_by_their_outcome_and_attempts_by_theirs(sqlite_url: str):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", relay_interval_seconds=0.05
    ) as installation:
        client = await one_of_each(installation)
        metered = await meter(client)
        key = {"Idempotency-Key": "one"}
        installation.upstream.will(status(503))
        assert (await client.post("/create-client", json={}, headers=key)).status_code == 201
        assert (await client.post("/create-client", json={}, headers=key)).status_code == 201
        installation.upstream.will(status(404))
        assert (await client.post("/create-client", json={})).status_code == 404
        await finished_task(client, await accepted(client))
        assert (await client.post("/create-client", json=[])).status_code == 422
        name = "create-client"
        await metered.eventually(
            ("asyncapiproxy_requests_total", name, "answered", 2),
            ("asyncapiproxy_requests_total", name, "replayed", 1),
            ("asyncapiproxy_requests_total", name, "accepted", 1),
            ("asyncapiproxy_requests_total", name, "rejected", 1),
            ("asyncapiproxy_requests_total", name, "failed", 0),
            ("asyncapiproxy_attempts_total", name, "retried", 1),
            ("asyncapiproxy_attempts_total", name, "succeeded", 2),
            ("asyncapiproxy_attempts_total", name, "failed", 1),
            ("asyncapiproxy_attempt_seconds_count", name, 4),
            ("asyncapiproxy_relay_published_total", 1),
            ("asyncapiproxy_parked_callers", 0),
            ("asyncapiproxy_running_attempts", 0),
        )


async def test_who_is_held_and_what_runs_is_seen_and_who_is_one_too_many(sqlite_url: str):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", max_waiting=1
    ) as installation:
        client = await one_of_each(installation)
        metered = await meter(client)
        may_end = asyncio.Event()
        installation.upstream.will(held(may_end))
        waiting = asyncio.ensure_future(client.post("/create-client", json={}))
        await metered.eventually(
            ("asyncapiproxy_parked_callers", 1), ("asyncapiproxy_running_attempts", 1)
        )
        refused = await client.post("/create-client", json={})
        assert refused.status_code == 503
        may_end.set()
        assert (await waiting).status_code == 201
        await metered.eventually(
            ("asyncapiproxy_parked_callers", 0),
            ("asyncapiproxy_running_attempts", 0),
            ("asyncapiproxy_requests_total", "create-client", "overloaded", 1),
        )
