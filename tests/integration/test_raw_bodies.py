"""Bodies that are taken as they come: what the upstream is sent, and what is refused."""

import asyncio
import gzip
import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from aiohttp import web
from sqlalchemy import text

from asyncproxy.metrics import HELD_BODY_BYTES
from asynctasks.blobs.blobs import Blobs
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.inside import ASYNC, Inside, Stoppable, inside, operation, status

LARGE = 3_000_001
MOST = 5_000_000
PDF = {"Content-Type": "application/pdf"}
SCAN = operation(
    "scan",
    route="POST /scans/{folder}",
    arguments={
        "type": "object",
        "properties": {"folder": {"type": "string", "maxLength": 9}},
    },
    body={
        "contentTypes": ["application/pdf", "image/*", "multipart/form-data"],
        "maxBytes": MOST,
    },
    upstream={"url": "{UPSTREAM}/clients?folder={folder}", "maxResponseBytes": MOST},
)


class Received:
    """An upstream's answer that keeps what it was sent."""

    def __init__(self, status: int = 201) -> None:
        self.body = b""
        self.headers: dict[str, str] = {}
        self.folder = ""
        self._status = status

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.folder = request.query["folder"]
        parts = [part async for part in request.content.iter_any()]
        self.body = b"".join(parts)
        return web.json_response({"bytes": len(self.body)}, status=self._status)


@pytest.fixture
async def installed(sqlite_url: str) -> AsyncIterator[Inside]:
    async with inside(
        SCAN, database_url=sqlite_url, broker_url="memory://", watch_interval_seconds=0.05
    ) as installation:
        yield installation


@pytest.fixture
async def proxy(installed: Inside) -> Stoppable:
    return await installed.proxy()


@pytest.fixture
async def client(installed: Inside, proxy: Stoppable) -> httpx.AsyncClient:
    """Of a proxy without an executor."""
    return await installed.client(proxy)


@pytest.fixture
async def served(installed: Inside, client: httpx.AsyncClient) -> httpx.AsyncClient:
    await installed.executor()
    return client


async def rows(installation: Inside, statement: str) -> Any:
    assert installation._shared is not None
    async with installation._shared.database.write() as connection:
        return (await connection.execute(text(statement))).all()


def blobs_of(installation: Inside) -> Blobs:
    assert installation._shared is not None
    return installation._shared.blobs


async def in_parts(body: bytes) -> AsyncGenerator[bytes]:
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, LARGE])
async def test_the_upstream_is_sent_the_bytes_that_came(
    served: httpx.AsyncClient, installed: Inside, size: int, is_chunked: bool
):
    received = Received()
    installed.upstream.will(received)
    body = os.urandom(size)
    given = in_parts(body) if is_chunked else body
    answer = await served.post("/scans/in", content=given, headers=PDF)
    assert (answer.status_code, answer.json()) == (201, {"bytes": size})
    assert received.body == body
    assert received.folder == "in"
    assert received.headers["content-type"] == "application/pdf"
    assert received.headers["content-length"] == str(size)
    assert "transfer-encoding" not in received.headers
    (row,) = await rows(installed, "SELECT body, body_blob FROM tasks")
    assert (row.body is None, row.body_blob is None) == (size > 65_536, size <= 65_536)


async def test_what_describes_a_body_goes_with_it(served: httpx.AsyncClient, installed: Inside):
    received = Received()
    installed.upstream.will(received)
    packed = gzip.compress(b"%PDF" * 50_000)
    headers = {
        **PDF,
        "Content-Encoding": "gzip",
        "Content-Language": "de, en",
        "Content-Disposition": 'attachment; filename="a b.pdf"',
        "Content-Digest": "sha-256=:abc=:",
        "Cookie": "no=1",
        "Authorization": "Basic no",
    }
    assert (await served.post("/scans/in", content=packed, headers=headers)).status_code == 201
    # This upstream unpacks by itself; by its length what came was packed once.
    assert received.headers["content-length"] == str(len(packed))
    assert received.body == gzip.decompress(packed)
    for name in ("Content-Encoding", "Content-Language", "Content-Disposition", "Content-Digest"):
        assert received.headers[name.lower()] == headers[name]
    assert not {"cookie", "authorization"} & received.headers.keys()


async def test_a_form_keeps_its_boundary(served: httpx.AsyncClient, installed: Inside):
    received = Received()
    installed.upstream.will(received)
    scan = os.urandom(100_000)
    answer = await served.post(
        "/scans/in", data={"note": "für Ann"}, files={"scan": ("a.pdf", scan, "application/pdf")}
    )
    assert answer.status_code == 201
    assert answer.request.headers["content-type"] == received.headers["content-type"]
    assert scan in received.body
    assert received.body.endswith(received.headers["content-type"][-32:].encode() + b"--\r\n")


async def test_each_attempt_sends_the_body_from_its_start(
    served: httpx.AsyncClient, installed: Inside
):
    first, second = Received(503), Received()
    installed.upstream.will(first, status(503), second)
    body = os.urandom(LARGE)
    answer = await served.post("/scans/in", content=body, headers=PDF)
    assert answer.status_code == 201
    assert first.body == second.body == body


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json"},
        {"Content-Type": "imagex/png"},
        {"Content-Type": ""},
        [("Content-Type", "application/pdf"), ("Content-Type", "image/png")],
    ],
)
async def test_another_type_is_415_and_says_what_is_taken(client: httpx.AsyncClient, headers: Any):
    answer = await client.post("/scans/in", content=b"x", headers=headers)
    assert answer.status_code == 415
    assert answer.headers["accept"] == "application/pdf, image/*, multipart/form-data"
    assert answer.headers["accept"] in answer.json()["detail"]


@pytest.mark.parametrize("framing", ["none", "length", "chunked"])
async def test_an_empty_body_needs_no_type_and_the_upstream_is_told_none(
    served: httpx.AsyncClient, installed: Inside, framing: str
):
    received = Received()
    installed.upstream.will(received)
    content = in_parts(b"") if framing == "chunked" else b""
    request = served.build_request("POST", "/scans/in", content=content)
    if framing == "none":
        del request.headers["Content-Length"]
    answer = await served.send(request)
    assert (answer.status_code, answer.json()) == (201, {"bytes": 0})
    assert "content-type" not in received.headers
    assert received.headers["content-length"] == "0"


async def test_a_body_of_unknown_length_needs_a_type_from_its_first_byte(client: httpx.AsyncClient):
    answer = await client.post("/scans/in", content=in_parts(b"x"))
    assert answer.status_code == 415
    assert answer.headers["accept"] in answer.json()["detail"]


async def test_parameters_and_case_of_a_type_are_no_matter(client: httpx.AsyncClient):
    for given in (
        "Application/PDF",
        "image/svg+xml; charset=utf-8",
        "multipart/form-data;boundary=x",
    ):
        answer = await client.post(
            "/scans/in", content=b"x", headers={"Content-Type": given, **ASYNC}
        )
        assert answer.status_code == 202, given


async def test_json_elsewhere_is_told_what_is_taken(client: httpx.AsyncClient, sqlite_url: str):
    async with inside(database_url=sqlite_url, broker_url="memory://") as other:
        one = await other.client(await other.proxy())
        answer = await one.post("/create-client", content=b"x", headers=PDF)
        assert (answer.status_code, answer.headers["accept"]) == (415, "application/json")


async def test_a_body_that_is_too_large_is_413_with_the_number(
    client: httpx.AsyncClient, installed: Inside
):
    for content in (b"x" * (MOST + 1), in_parts(b"x" * (MOST + 1))):
        answer = await client.post("/scans/in", content=content, headers=PDF)
        assert answer.status_code == 413
        assert answer.json()["detail"] == f"The body is larger than {MOST} bytes."
    assert await rows(installed, "SELECT id FROM tasks") == []
    assert HELD_BODY_BYTES._value.get() == 0
    exact = await client.post("/scans/in", content=b"x" * MOST, headers={**PDF, **ASYNC})
    assert exact.status_code == 202


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/scans/far-too-long", PDF, 422),
        ("/scans/in?unknown=1", PDF, 422),
        ("/scans/in", {**PDF, "Task-Deadline": "soon"}, 400),
        ("/scans/in", {**PDF, "Content-Disposition": "a\x81b"}, 400),
        ("/scans/in", {"Content-Type": "text/plain"}, 415),
        ("/scans/in", {**PDF, "Content-Length": str(MOST + 1)}, 413),
    ],
)
async def test_what_is_refused_is_refused_before_the_body_is_sent(
    proxy: Stoppable, path: str, headers: dict[str, str], expected: int
):
    parts = urlsplit(proxy.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    given = {"Host": "proxy", "Expect": "100-continue", "Content-Length": "9", **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        first = await reader.readline()
    writer.close()
    assert first.startswith(b"HTTP/1.1 %d" % expected)


async def test_a_key_stands_for_the_same_bytes_of_the_same_type(
    served: httpx.AsyncClient, installed: Inside
):
    body = os.urandom(LARGE)
    key = {**PDF, "Idempotency-Key": "k"}
    first = await served.post("/scans/in", content=body, headers=key)
    again = await served.post("/scans/in", content=body, headers=key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    assert len(installed.upstream.keys) == 1
    others: list[Any] = [
        ("/scans/in", body[:-1], key),
        ("/scans/out", body, key),
        ("/scans/in", body, {**key, "Content-Type": "image/png"}),
    ]
    for path, content, headers in others:
        refused = await served.post(path, content=content, headers=headers)
        assert refused.status_code == 422
        assert refused.json()["type"].endswith("/idempotency-key-reused")


async def test_a_caller_who_leaves_half_way_leaves_no_task(
    proxy: Stoppable, client: httpx.AsyncClient, installed: Inside
):
    parts = urlsplit(proxy.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = (
        "POST /scans/in HTTP/1.1\r\nHost: a\r\nContent-Type: application/pdf\r\n"
        f"Content-Length: {LARGE}\r\n\r\n"
    )
    writer.write(head.encode() + b"x" * (LARGE - 1))
    await writer.drain()

    async def is_written() -> None:
        assert await rows(installed, "SELECT name FROM blobs WHERE size IS NULL")

    await eventually(is_written)
    writer.close()

    async def nothing_is_held() -> None:
        assert HELD_BODY_BYTES._value.get() == 0

    await eventually(nothing_is_held)
    assert await rows(installed, "SELECT id FROM tasks") == []
    await rows(installed, "UPDATE blobs SET touched_at = '2000-01-01 00:00:00.000000' RETURNING 1")
    assert await blobs_of(installed).delete_orphans(limit=9) == 1
    assert await rows(installed, "SELECT name FROM blob_chunks") == []


async def test_a_body_that_is_lost_fails_its_task_once_and_for_all(
    client: httpx.AsyncClient, installed: Inside
):
    whole, cut = [
        (await client.post("/scans/in", content=b"x" * LARGE, headers={**PDF, **ASYNC})).json()[
            "id"
        ]
        for _ in range(2)
    ]
    await blobs_of(installed)._chunks.delete(f"{whole}/body")
    await rows(
        installed, f"DELETE FROM blob_chunks WHERE name = '{cut}/body' AND number = 7 RETURNING 1"
    )
    installed.upstream.will(Received())
    await installed.executor()
    for task_id in (whole, cut):

        async def has_failed(task_id: str = task_id) -> dict[str, Any]:
            document = (await client.get(f"/tasks/{task_id}")).json()
            assert document["done"]
            return document

        document = await eventually(has_failed)
        assert (document["status"], document["attempt"]) == ("failed", 1)
        assert document["error"]["type"].endswith("/body-lost")


async def test_a_large_body_needs_no_room_but_for_what_is_held(sqlite_url: str, tmp_path: Path):
    async with inside(
        SCAN,
        database_url=sqlite_url,
        broker_url="memory://",
        blobs=f"file://{tmp_path}/blobs",
        max_held_body_bytes=6 * 1_048_576,
    ) as installation:
        client = await installation.client(await installation.proxy())
        body = os.urandom(LARGE)
        answers = await asyncio.gather(
            *(
                client.post("/scans/in", content=in_parts(body), headers={**PDF, **ASYNC})
                for _ in range(6)
            )
        )
        assert [answer.status_code for answer in answers] == [202] * 6
        assert HELD_BODY_BYTES._value.get() == 0
