"""What a life of tasks leaves behind in the metrics."""

import asyncio
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from asynctasks.metrics import exposition
from asynctestkit.calls import finished_task
from asynctestkit.eventually import eventually
from asynctestkit.inside import accepted, held, inside, one_of_each, status


def read() -> dict[tuple[str, ...], float]:
    """The values by metric and labels. They count for the whole of the tests' process."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(exposition()[0].decode())
        for sample in family.samples
    }


class Meter:
    """What has changed since it was made."""

    def __init__(self) -> None:
        self._before = read()

    async def eventually(self, *changes: Any) -> None:
        def changed() -> None:
            now = read()
            for *key, change in changes:
                name = tuple(key)
                assert now.get(name, 0) - self._before.get(name, 0) == change, name

        await eventually(changed)


async def test_calls_are_counted_by_their_outcome_and_attempts_by_theirs(sqlite_url: str):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", relay_interval_seconds=0.05
    ) as installation:
        client = await one_of_each(installation)
        metered = Meter()
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
        metered = Meter()
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
