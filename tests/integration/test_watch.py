"""Long-polls and server-sent events: what a caller who follows a task sees."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, event

from asyncproxy import task_view
from asynctasks.statements.conditions import tasks
from asynctestkit.calls import finished_task
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.inside import Inside, Stoppable, accepted, held, inside, one_of_each, slow


async def looked_at(proxy: Stoppable, *, times: int = 1) -> None:
    """Return when the proxy has asked the database for what is watched, so that something is."""
    looks = asyncio.Queue[str]()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT tasks.id, tasks.version \nFROM tasks"):
            looks.put_nowait(statement)

    engine = proxy.connections.database._readers.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(times):
                await looks.get()
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_a_long_poll_returns_when_the_task_changes(installation: Inside):
    proxy = await installation.proxy()
    await installation.executor()
    client = await installation.client(proxy)
    may_end = asyncio.Event()
    installation.upstream.will(held(may_end))
    task_id = await accepted(client)

    async def running() -> httpx.Response:
        shown = await client.get(f"/tasks/{task_id}")
        assert shown.json()["status"] == "running"
        return shown

    seen = await eventually(running)
    headers = {"Prefer": "wait=50", "If-None-Match": seen.headers["etag"]}
    polling = asyncio.ensure_future(client.get(f"/tasks/{task_id}", headers=headers))
    await looked_at(proxy, times=3)
    assert not polling.done()
    may_end.set()
    answer = await polling
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.headers["preference-applied"] == "wait=50"
    assert answer.elapsed.total_seconds() < 40


async def test_a_long_poll_of_an_unchanged_task_is_304_after_its_wait(installation: Inside):
    client = await installation.client(await installation.proxy())
    task_id = await accepted(client)
    tag = (await client.get(f"/tasks/{task_id}")).headers["etag"]
    started = time.monotonic()
    answer = await client.get(
        f"/tasks/{task_id}",
        headers={"Prefer": "wait=1", "If-None-Match": f'"0", W/{tag[:-1]}-gzip"'},
    )
    assert (answer.status_code, answer.content) == (304, b"")
    assert 0.9 < time.monotonic() - started < 40


async def test_a_long_poll_of_a_changed_task_returns_at_once(installation: Inside):
    client = await installation.client(await installation.proxy())
    task_id = await accepted(client)
    started = time.monotonic()
    answer = await client.get(
        f"/tasks/{task_id}", headers={"Prefer": "wait=50", "If-None-Match": '"999"'}
    )
    assert answer.status_code == 200
    assert time.monotonic() - started < 40


async def test_a_long_poll_of_a_task_that_is_forgotten_meanwhile_is_404(installation: Inside):
    proxy = await installation.proxy()
    client = await installation.client(proxy)
    task_id = await accepted(client)
    polling = asyncio.ensure_future(client.get(f"/tasks/{task_id}", headers={"Prefer": "wait=50"}))
    await looked_at(proxy)
    async with proxy.connections.database.write() as connection:
        await connection.execute(delete(tasks))
    assert (await polling).status_code == 404


async def test_events_tell_each_change_until_the_end(installation: Inside):
    client = await one_of_each(installation)
    installation.upstream.will(slow(0.5))
    task_id = await accepted(client)
    async with client.stream("GET", f"/tasks/{task_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [event async for event in _events(answer)]
    assert [event["status"] for event in events][-2:] == ["running", "succeeded"]
    ids = [int(event["id"]) for event in events]
    assert ids == sorted(set(ids))
    assert events[-1]["data"] == (await client.get(f"/tasks/{task_id}")).json()


async def test_events_resume_after_the_last_one_seen(installation: Inside):
    client = await one_of_each(installation)
    task_id = await accepted(client)
    task = await finished_task(client, task_id)
    assert task["status"] == "succeeded"
    async with client.stream("GET", f"/tasks/{task_id}/events") as answer:
        (last,) = [event async for event in _events(answer)]
    resumed = await client.get(f"/tasks/{task_id}/events", headers={"Last-Event-ID": "1"})
    assert f"id: {last['id']}\n" in resumed.text
    # 204 is how an EventSource is told not to connect again (HTML §9.2.3).
    seen_all = await client.get(f"/tasks/{task_id}/events", headers={"Last-Event-ID": last["id"]})
    assert (seen_all.status_code, seen_all.content) == (204, b"")


async def test_events_of_a_task_that_is_forgotten_end(
    installation: Inside, capfd: pytest.CaptureFixture[str]
):
    proxy = await installation.proxy()
    client = await installation.client(proxy)
    task_id = await accepted(client)
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        client.stream("GET", f"/tasks/{task_id}/events") as answer,
    ):
        parts = answer.aiter_text()
        assert "id: 1" in await anext(parts)
        async with proxy.connections.database.write() as connection:
            await connection.execute(delete(tasks))
        assert [part async for part in parts if "id: " in part] == []
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_stopping_proxy_ends_long_polls_and_events(installation: Inside):
    proxy = await installation.proxy()
    client = await installation.client(proxy)
    task_id = await accepted(client)
    polling = asyncio.ensure_future(client.get(f"/tasks/{task_id}", headers={"Prefer": "wait=50"}))
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        client.stream("GET", f"/tasks/{task_id}/events") as answer,
    ):
        parts = answer.aiter_text()
        assert "id: 1" in await anext(parts)
        started = time.monotonic()
        proxy.stop.set()
        assert [part async for part in parts if "id: " in part] == []
        assert (await polling).status_code == 200
        await proxy.ended.wait()
    assert time.monotonic() - started < 40


async def test_with_as_many_watched_as_it_takes_a_proxy_keeps_nobody_waiting_nor_busy(
    sqlite_url: str,
):
    async with inside(
        database_url=sqlite_url, broker_url="memory://", max_waiting=2
    ) as installation:
        client = await installation.client(await installation.proxy())
        first = await accepted(client, **{"Idempotency-Key": "first"})
        async with client.stream("GET", f"/tasks/{first}/events") as watching:
            parts = watching.aiter_text()  # which ends the stream once nobody has it
            assert "id: 1" in await anext(parts)
            async with client.stream("GET", f"/tasks/{first}/events") as again:
                other_parts = again.aiter_text()
                assert "id: 1" in await anext(other_parts)
                started = time.monotonic()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    shown = await client.get(f"/tasks/{first}", headers={"Prefer": "wait=50"})
                    assert shown.status_code == 200
                    repeat = await client.post(
                        "/create-client",
                        json={},
                        headers={"Idempotency-Key": "first", "Prefer": "wait=50"},
                    )
                    assert repeat.status_code == 202
                    stream = await client.get(f"/tasks/{first}/events")
                    assert stream.text.count("still here") <= 1
                assert time.monotonic() - started < 40


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            event = {"id": value}
        elif name == "event":
            event["status"] = value
        elif name == "data":
            yield {**event, "data": json.loads(value)}


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ('"7"', True),
        ('W/"7"', True),
        ('"7-gzip"', True),  # Apache's mod_deflate
        ('"7"-gzip', True),  # an older one
        ('"7;gzip"', True),
        ('"7--gzip"', True),  # Jetty
        ('W/"7-br"', True),
        ('"6", "7-zstd"', True),
        ("*", True),
        ('"77-gzip"', False),
        ('"7-other"', False),
        ("-gzip", False),
    ],
)
def test_an_etag_is_known_again_whatever_a_proxy_that_compresses_added(header: str, matches: bool):
    assert task_view.matches(header, '"7"') is matches
