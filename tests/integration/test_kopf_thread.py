"""kopf in its thread, against an API server that misbehaves."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import kopf
import pytest

from asyncoperator.mirror import kopf_thread
from asyncoperator.mirror.kopf_thread import KopfThread, WatchEndedError
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.fake_api_server import (
    Answer,
    FakeApiServer,
    answer,
    cut,
    events,
    fake_api_server,
    refusal,
)

BURST_SECONDS = 30
"""Fifty workers that each stay for kopf's own five seconds would take 45."""
GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
LISTED = answer({"metadata": {"resourceVersion": "1"}, "items": []})


def added(name: str) -> dict[str, Any]:
    metadata = {"name": name, "uid": name, "namespace": "shop", "resourceVersion": "2"}
    return {"type": "ADDED", "object": {"kind": "AsyncTask", "metadata": metadata}}


def listed(*names: str) -> Answer:
    items = [added(name)["object"] for name in names]
    return answer({"metadata": {"resourceVersion": "1"}, "items": items})


@asynccontextmanager
async def watching(
    server: FakeApiServer, folder: Path
) -> AsyncGenerator[tuple[list[str], KopfThread, asyncio.Task[None]]]:
    """What is seen, by name."""
    seen: list[str] = []

    def register(registry: kopf.OperatorRegistry) -> None:
        async def see(name: str, **_: Any) -> None:
            seen.append(name)

        kopf.on.event("asyncapiproxy.dev", "v1alpha1", "asynctasks", registry=registry)(see)

    thread = KopfThread(register, kubeconfig=server.kubeconfig(folder), namespace="shop")
    running = asyncio.create_task(thread.run())
    try:
        yield seen, thread, running
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server() as server:
        server.otherwise = events()
        yield server


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([listed("a"), events(added("b"))], ["a", "b"]),
        ([LISTED, events(added("a"), then_hang=False), events(added("b"))], ["a", "b"]),
        ([LISTED, cut, events(added("a"))], ["a"]),
        ([LISTED, events(GONE), listed("a"), events(added("b"))], ["a", "b"]),
        ([refusal(429, "TooManyRequests", Retry_After="1"), listed("a"), events()], ["a"]),
        ([refusal(503, "ServiceUnavailable"), listed("a"), events()], ["a"]),
        ([LISTED, refusal(500, "InternalError"), events(added("a"))], ["a"]),
        ([refusal(401, "Unauthorized"), listed("a"), events()], ["a"]),
    ],
    ids=["list", "ended", "cut", "gone", "throttled", "unavailable", "failed", "unauthorized"],
)
async def test_the_watch_recovers(
    server: FakeApiServer, tmp_path: Path, answers: list[Answer], expected: list[str]
):
    server.answers = list(answers)
    async with watching(server, tmp_path) as (seen, thread, running):

        def all_seen() -> None:
            assert not running.done(), running.exception()
            assert sorted({*seen}) == expected

        await eventually(all_seen)
        assert thread.fault is None


async def test_a_burst_of_objects_is_seen_at_once(server: FakeApiServer, tmp_path: Path):
    names = {f"t{number}" for number in range(500)}
    server.answers = [LISTED, events(*map(added, sorted(names)))]
    async with watching(server, tmp_path) as (seen, _, _running):

        def some_seen() -> None:
            assert seen

        def all_seen() -> None:
            assert {*seen} == names

        await eventually(some_seen)
        began = time.monotonic()
        await eventually(all_seen)
    assert time.monotonic() - began < BURST_SECONDS


async def test_a_watch_that_kopf_gives_up_ends_it(server: FakeApiServer, tmp_path: Path):
    server.answers = [LISTED, events({"type": "ERROR", "object": {"code": 500, "kind": "Status"}})]
    async with watching(server, tmp_path) as (_, thread, running):
        with pytest.raises(WatchEndedError, match="kopf ended by itself"):
            await asyncio.wait_for(running, PATIENCE_SECONDS)
        await _ended(thread)


async def test_it_asks_for_pages_and_for_watches_that_end(server: FakeApiServer, tmp_path: Path):
    server.answers = [LISTED]
    async with watching(server, tmp_path) as (_, _thread, _running):

        def watched() -> None:
            assert len(server.requests) >= 2

        await eventually(watched)
        listing, watch = (dict(each.query) for each in server.requests[:2])
        assert listing["limit"] == "500"
        assert watch["timeoutSeconds"] == "120"
        assert watch["allowWatchBookmarks"] == "true"


async def test_nothing_is_ever_written(server: FakeApiServer, tmp_path: Path):
    server.answers = [listed("a", "b"), events(added("c"))]
    async with watching(server, tmp_path) as (seen, _, _running):

        def all_seen() -> None:
            assert {*seen} == {"a", "b", "c"}

        await eventually(all_seen)
    assert {each.method for each in server.requests} == {"GET"}


async def test_a_silent_watch_is_a_fault(
    server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kopf_thread, "SILENCE_SECONDS", 0.5)
    server.answers = [LISTED]
    async with watching(server, tmp_path) as (_, thread, _running):

        def told() -> None:
            assert (thread.fault or "").startswith("no watch was heard of for")

        await eventually(told)


async def test_it_stops_within_seconds(server: FakeApiServer, tmp_path: Path):
    server.answers = [LISTED]
    async with watching(server, tmp_path) as (_, thread, running):

        def watched() -> None:
            assert len(server.requests) >= 2

        await eventually(watched)
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=30)
        assert done
        await _ended(thread)


async def _ended(thread: KopfThread) -> None:
    def ended() -> None:
        assert thread.fault == "kopf's thread does not run"

    await eventually(ended)
