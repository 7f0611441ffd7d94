"""Answers too large for a task's row: as they came, in the window, from the task, and replayed."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from sqlalchemy import text

from asynctasks.blobs.blobs import Blobs
from asynctasks.errors import BlobStoreUnavailableError
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, inside, one_of_each, operation

LARGE = 3_000_001
DEAR = operation(upstream={"url": "{UPSTREAM}/clients", "maxResponseBytes": 10_000_000})


@pytest.fixture(params=["database", "file"])
async def installed(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> AsyncIterator[Inside]:
    folder = tmp_path / "blobs"
    async with inside(
        DEAR,
        database_url=database_url,
        broker_url="memory://",
        blobs="database" if request.param == "database" else f"file://{folder}",
        watch_interval_seconds=0.05,
    ) as installation:
        yield installation


def answering(body: bytes, *, status: int = 200, content_type: str = "application/pdf") -> Any:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type=content_type)

    return answer


def blobs_of(installation: Inside) -> Blobs:
    assert installation._shared is not None
    return installation._shared.blobs


async def execute(installation: Inside, statement: str) -> Any:
    connections = installation._shared
    assert connections is not None
    async with connections.database.write() as connection:
        return await connection.execute(text(statement))


async def finished(client: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    async def is_done() -> dict[str, Any]:
        document = (await client.get(f"/tasks/{task_id}")).json()
        assert document["done"], document
        return document

    return await eventually(is_done)


@pytest.mark.parametrize("size", [65_536, 65_537, 262_144, LARGE])
async def test_the_caller_has_all_bytes_by_each_way(installed: Inside, size: int):
    client = await one_of_each(installed)
    body = os.urandom(size)
    installed.upstream.will(answering(body))
    key = {"Idempotency-Key": "k"}

    in_window = await client.post("/create-client", json={}, headers=key)
    task = f"/tasks/{in_window.headers['task-id']}"
    replayed = await client.post("/create-client", json={}, headers=key)
    for answer in (in_window, await client.get(f"{task}/response"), replayed):
        assert answer.status_code == 200
        assert answer.content == body
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["content-length"] == str(size)
    assert replayed.headers["idempotency-replayed"] == "true"
    head = await client.head(f"{task}/response")
    assert (head.content, head.headers["content-length"]) == (b"", str(size))

    document = (await client.get(task)).json()
    assert document["response"]["body"] is None
    stored = (await execute(installed, "SELECT response_body FROM tasks")).scalar_one()
    assert len(stored) == (size if size <= 65_536 else 0)


async def test_an_answer_that_failed_the_task_is_given_whole(installed: Inside):
    client = await one_of_each(installed)
    body = b"<p>" + b"x" * LARGE
    installed.upstream.will(answering(body, status=404, content_type="text/html"))
    answer = await client.post("/create-client", json={})
    assert (answer.status_code, answer.content) == (404, body)


async def test_of_a_fault_of_the_upstream_nothing_is_kept(installed: Inside):
    client = await one_of_each(installed)
    installed.upstream.will(*[answering(b"x" * LARGE, status=503)] * 3)
    answer = await client.post("/create-client", json={})
    assert (answer.status_code, answer.json()["detail"]) == (
        502,
        "The upstream answered 503 Service Unavailable.",
    )
    assert (await execute(installed, "SELECT count(*) FROM blobs")).scalar_one() == 0


async def test_json_that_is_large_is_a_body_like_any_other(installed: Inside):
    client = await one_of_each(installed)
    body = b'{"filler":"' + b"x" * LARGE + b'"}'
    installed.upstream.will(answering(body, content_type="application/json"))
    accepted = await client.post("/create-client", json={}, headers=ASYNC)
    document = await finished(client, accepted.json()["id"])
    assert document["response"]["body"] is None
    assert (await client.get(document["links"]["response"])).content == body
    page = (await client.get("/tasks?view=full")).json()
    assert page["tasks"][0]["response"]["body"] is None


async def test_a_body_that_somebody_deleted_is_a_clear_fault(installed: Inside):
    client = await one_of_each(installed)
    installed.upstream.will(answering(b"x" * LARGE))
    answer = await client.post("/create-client", json={})
    task = f"/tasks/{answer.headers['task-id']}"
    blob = (await execute(installed, "SELECT response_blob FROM tasks")).scalar_one()
    await blobs_of(installed)._chunks.delete(blob)
    lost = await client.get(f"{task}/response")
    assert lost.status_code == 500
    assert lost.json()["type"].endswith("/body-lost")

    await execute(installed, "DELETE FROM blobs")
    assert (await client.get(f"{task}/response")).status_code == 500
    assert (await client.get(task)).status_code == 200
    assert (await client.delete(task)).status_code == 204


async def test_a_store_that_is_full_or_away_fails_the_attempt_and_the_next_succeeds(
    installed: Inside, monkeypatch: pytest.MonkeyPatch
):
    client = await one_of_each(installed)
    await client.post("/create-client", json={})  # both have tried the store by then
    chunks: Any = type(blobs_of(installed)._chunks)
    put, failures = chunks.put, [BlobStoreUnavailableError(reason="disk full")]

    async def fails_once(self: Any, *given: Any) -> None:
        if failures:
            raise failures.pop()
        await put(self, *given)

    monkeypatch.setattr(chunks, "put", fails_once)
    body = b"x" * LARGE
    installed.upstream.will(answering(body), answering(body))
    answer = await client.post("/create-client", json={})
    assert (answer.status_code, answer.content) == (200, body)
    document = (await client.get(f"/tasks/{answer.headers['task-id']}")).json()
    first, second = document["attempts"]
    assert "does not answer" in first["detail"]
    assert "disk full" not in str(document)
    assert second["outcome"] == "succeeded"


async def test_an_answer_that_has_begun_waits_for_a_store_that_is_away(
    installed: Inside, monkeypatch: pytest.MonkeyPatch
):
    client = await one_of_each(installed)
    body = os.urandom(LARGE)
    installed.upstream.will(answering(body))
    task = (await client.post("/create-client", json={})).headers["task-id"]
    away_at(installed, monkeypatch, number=1, times=2)
    assert (await client.get(f"/tasks/{task}/response")).content == body


async def test_an_answer_that_breaks_off_is_one_line_in_the_log(
    installed: Inside,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
):
    client = await one_of_each(installed)
    installed.upstream.will(answering(b"x" * LARGE))
    task = (await client.post("/create-client", json={})).headers["task-id"]
    away_at(installed, monkeypatch, number=1, times=1000)
    monkeypatch.setattr("asynctasks.blobs.blobs.AWAY_SECONDS", 0.1)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(f"/tasks/{task}/response")
    assert capsys.readouterr().out.count("an answer broke off") == 1
    assert [record for record in caplog.records if record.exc_info] == []


def away_at(
    installation: Inside, monkeypatch: pytest.MonkeyPatch, *, number: int, times: int
) -> None:
    """The store fails so many reads of the chunk of this number."""
    chunks: Any = type(blobs_of(installation)._chunks)
    get, failures = chunks.get, iter(range(times))

    async def fails(self: Any, name: str, wanted: int) -> bytes:
        if wanted == number and next(failures, None) is not None:
            raise BlobStoreUnavailableError(reason="away")
        return await get(self, name, wanted)

    monkeypatch.setattr(chunks, "get", fails)
