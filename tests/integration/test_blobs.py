"""Blobs, wherever their chunks are kept: in the task database, in files, in a real S3 server."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import text

from asyncproxy.metrics import RELAY_ORPHANS
from asyncproxy.relay.orphans import Orphans
from asynctasks.blob import ORPHANED_SECONDS
from asynctasks.blobs.blobs import Blobs, OpenBlob, open_blobs
from asynctasks.blobs.object_chunks import ObjectChunks
from asynctasks.errors import BlobLostError, BlobStoreUnavailableError, SettingsError
from asynctasks.outcome import Outcome
from asynctasks.response import Response
from asynctasks.task import TaskStatus, new_task_id
from asynctestkit.servers.s3 import S3Server

MakeTask = Callable[..., Any]
INLINE_BYTES = 65_536


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        server.make_bucket("bodies")
        yield server


@pytest.fixture(params=["database", "file", "s3"])
async def blobs(
    request: pytest.FixtureRequest, parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Blobs:
    url = "database"
    if request.param == "file":
        url = f"file://{tmp_path}/bodies of callers"
    elif request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        url = f"s3://bodies/{secrets.token_hex(4)}"
    return open_blobs(parts.database, url, inline_bytes=INLINE_BYTES)


async def keep(blobs: Blobs, name: str, body: bytes, *, task_id: UUID) -> str:
    writer = blobs.writer(name, task_id=task_id)
    await writer.write(body)
    return await writer.finish()


async def read(blob: OpenBlob) -> bytes:
    return b"".join([chunk async for chunk in blob.chunks()])


async def make_old(parts: Any) -> None:
    """As if the writers of all blobs had been silent for longer than they may be."""
    past = "now() - interval '2 hours'"
    if parts.database.dialect == "sqlite":
        past = "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-2 hours')"
    async with parts.database.write() as connection:
        await connection.execute(text(f"UPDATE blobs SET touched_at = {past}"))


@pytest.mark.parametrize("size", [0, 1, 262_144, 524_288, 1_300_000])
async def test_a_blob_is_read_as_it_was_written_and_as_often_as_asked(blobs: Blobs, size: int):
    await blobs.check()
    task_id = new_task_id()
    body = os.urandom(size)
    writer = blobs.writer(f"{task_id}/body", task_id=task_id)
    for start in range(0, size, 70_000):
        await writer.write(body[start : start + 70_000])
    name = await writer.finish()

    blob = await blobs.open(name)
    assert blob.size == size
    assert await read(blob) == body
    assert await read(blob) == body


async def test_a_writer_holds_no_more_than_a_chunk(blobs: Blobs):
    task_id = new_task_id()
    writer = blobs.writer(f"{task_id}/body", task_id=task_id)
    kept = held = 0
    for _ in range(40):
        released = await writer.write(b"x" * 65_536)
        held += 65_536 - released
        kept += released
        assert held <= 524_288
    assert writer.size == kept + held == 40 * 65_536


async def test_what_is_not_whole_cannot_be_opened(blobs: Blobs):
    task_id = new_task_id()
    writer = blobs.writer(f"{task_id}/body", task_id=task_id)
    await writer.write(b"x" * 600_000)
    with pytest.raises(BlobLostError):
        await blobs.open(f"{task_id}/body")


async def test_a_folder_that_went_away_is_away_and_comes_back(tmp_path: Path):
    folder, elsewhere = tmp_path / "blobs", tmp_path / "elsewhere"
    chunks = ObjectChunks(f"file://{folder}")
    await chunks.check()
    await chunks.put("a", 0, b"x")

    async def is_away() -> None:
        for call in (chunks.get("a", 0), chunks.put("b", 0, b"y"), chunks.delete("a")):
            with pytest.raises(BlobStoreUnavailableError):
                await call

    folder.rename(elsewhere)
    await is_away()
    assert not folder.exists()
    folder.mkdir()  # as a mount point is without its volume
    await is_away()
    assert list(folder.iterdir()) == []
    folder.rmdir()
    elsewhere.rename(folder)
    assert await chunks.get("a", 0) == b"x"
    with pytest.raises(BlobLostError):
        await chunks.get("b", 0)


async def test_a_chunk_that_somebody_deleted_is_told(blobs: Blobs):
    task_id = new_task_id()
    name = await keep(blobs, f"{task_id}/body", b"x" * 600_000, task_id=task_id)
    blob = await blobs.open(name)
    await blobs._chunks.delete(name)
    with pytest.raises(BlobLostError):
        await read(blob)


async def test_an_orphan_is_deleted_when_its_writer_has_been_silent_for_long(
    blobs: Blobs, parts: Any
):
    task_id = new_task_id()
    whole = await keep(blobs, f"{task_id}/whole", b"x" * 600_000, task_id=task_id)
    half = blobs.writer(f"{task_id}/half", task_id=task_id)
    await half.write(b"x" * 600_000)
    assert await blobs.delete_orphans(limit=9) == 0

    await make_old(parts)
    assert await blobs.delete_orphans(limit=9) == 2
    assert await blobs.delete_orphans(limit=9) == 0
    with pytest.raises(BlobLostError):
        await blobs.open(whole)
    for name in (whole, f"{task_id}/half"):
        with pytest.raises(BlobLostError):
            await blobs._chunks.get(name, 0)


async def test_the_relay_deletes_orphans_in_batches_and_counts_them(blobs: Blobs, parts: Any):
    for _ in range(3):
        task_id = new_task_id()
        await keep(blobs, f"{task_id}/body", b"x", task_id=task_id)
    await make_old(parts)
    before = cast("float", RELAY_ORPHANS._value.get())
    duty = Orphans(blobs, batch=2)
    assert [await duty.delete() for _ in range(2)] == [True, False]
    assert cast("float", RELAY_ORPHANS._value.get()) - before == 3


async def test_many_relays_may_delete_the_same_orphans(blobs: Blobs, parts: Any):
    for _ in range(5):
        task_id = new_task_id()
        await keep(blobs, f"{task_id}/body", b"x" * 600_000, task_id=task_id)
    await make_old(parts)
    await asyncio.gather(*(blobs.delete_orphans(limit=9) for _ in range(3)))
    assert await blobs.delete_orphans(limit=9) == 0


async def test_many_blobs_are_written_and_read_at_a_time(blobs: Blobs):
    async def there_and_back() -> None:
        task_id = new_task_id()
        body = os.urandom(700_000)
        name = await keep(blobs, f"{task_id}/body", body, task_id=task_id)
        digest = hashlib.sha256()
        async for chunk in (await blobs.open(name)).chunks():
            digest.update(chunk)
        assert digest.digest() == hashlib.sha256(body).digest()

    await asyncio.gather(*(there_and_back() for _ in range(12)))


async def referring(parts: Any, new_task: MakeTask, **values: Any) -> UUID:
    """The id of a task whose row refers to what was kept for it."""
    task = new_task(**values)
    await parts.store.add(task)
    return task.id


async def test_what_a_task_refers_to_stays_as_long_as_the_task(parts: Any, new_task: MakeTask):
    blobs: Blobs = parts.blobs
    task_id = new_task_id()
    body = await keep(blobs, f"{task_id}/body", b"body", task_id=task_id)
    await referring(parts, new_task, id=task_id, body_headers=[], body_blob=body)
    await make_old(parts)
    assert await blobs.delete_orphans(limit=9) == 0

    claims = parts.claims("one")
    claimed = await claims.claim(task_id)
    response = await keep(blobs, f"{task_id}/response-1", b"response", task_id=task_id)
    await make_old(parts)
    assert await blobs.delete_orphans(limit=9) == 0, "the task still runs"
    answer = Response(200, "text/plain", b"", blob=response)
    await claims.finish(claimed, Outcome(TaskStatus.SUCCEEDED, response=answer))
    await make_old(parts)
    assert await blobs.delete_orphans(limit=9) == 0
    found = (await parts.store.find(task_id)).response
    assert await read(await blobs.open(found.blob)) == b"response"

    for name in (body, response):
        await blobs._registry.touch(name)
    await parts.store.delete(task_id)
    assert await blobs.delete_orphans(limit=9) == 2, "at once, however young they are"


async def test_a_response_that_a_retry_gave_up_is_an_orphan(parts: Any, new_task: MakeTask):
    blobs: Blobs = parts.blobs
    task_id = await referring(parts, new_task)
    claims = parts.claims("one")
    claimed = await claims.claim(task_id)
    name = await keep(blobs, f"{task_id}/response-1", b"not found", task_id=task_id)
    answer = Response(404, "text/plain", b"", blob=name)
    await claims.finish(claimed, Outcome(TaskStatus.FAILED, response=answer))
    await parts.store.retry(task_id, more_attempts=1)
    assert (await parts.store.find(task_id)).response is None
    await make_old(parts)
    assert await blobs.delete_orphans(limit=9) == 1


def test_what_no_blobs_can_be_kept_in_is_told_at_once(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="ASYNCAPIPROXY_BLOBS"):
        ObjectChunks(f"file://{tmp_path}/file/below")
    with pytest.raises(SettingsError, match="Account"):
        ObjectChunks("az://container/path")


async def test_a_bucket_that_is_not_there_stops_the_start(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=r"no such bucket.*NoSuchBucket|no such bucket"):
        await ObjectChunks("s3://another/path").check()


async def test_a_store_that_is_away_stops_no_start_and_is_named(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {**s3.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("asynctasks.blobs.object_chunks.RETRIES", {"max_retries": 0})
    chunks = ObjectChunks("s3://bodies/path")
    await chunks.check()
    with pytest.raises(BlobStoreUnavailableError, match="Error performing PUT"):
        await chunks.put("name", 0, b"x")


def test_an_orphan_is_older_than_any_write_of_a_row_takes():
    assert ORPHANED_SECONDS >= 60 * 60
