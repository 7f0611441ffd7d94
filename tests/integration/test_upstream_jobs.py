"""Upstreams that are asynchronous themselves: what executors ask them, and what they never do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
import structlog
from sqlalchemy import text

from asynctasks.errors import BlobStoreUnavailableError
from asynctasks.operations.operation import Operation
from asynctasks.outcome import Outcome
from asynctasks.statements.blob_chunks import DatabaseChunks
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.claims import Claims
from asynctestkit.eventually import eventually
from asynctestkit.inside import ASYNC, Inside, Stoppable, inside, operation
from asynctestkit.job_upstream import Job, JobUpstream, job_upstream

POLL: dict[str, Any] = {
    "url": {"header": ["Operation-Location", "Location"]},
    "until": {"pointer": "/status", "succeeded": ["succeeded"], "failed": ["failed"]},
    "everySeconds": [0.05, 0.1],
    "result": {"pointer": "/resourceLocation"},
    "progress": {"pointer": "/percentComplete"},
    "cancel": {"method": "DELETE"},
}


def analyze(*, headers: dict[str, str] | None = None, **poll: Any) -> Operation:
    upstream = {
        "url": "{JOBS}/documents:analyze",
        "headers": headers or {},
        "poll": {**POLL, **poll},
    }
    return operation("analyze", upstream=upstream)


@dataclass
class Place:
    """An installation with an upstream that has jobs."""

    upstream: JobUpstream
    installation: Inside
    client: httpx.AsyncClient
    executor: Stoppable

    async def start(self, **headers: str) -> str:
        answer = await self.client.post("/analyze", json={}, headers={**ASYNC, **headers})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    async def task(self, task_id: str) -> dict[str, Any]:
        return (await self.client.get(f"/tasks/{task_id}")).json()

    async def ended(self, task_id: str) -> dict[str, Any]:
        async def has_ended() -> dict[str, Any]:
            task = await self.task(task_id)
            assert task["done"], task
            return task

        return await eventually(has_ended)

    async def polled(self, task_id: str) -> dict[str, Any]:
        """The task when its job has been asked for."""

        async def has_state() -> dict[str, Any]:
            task = await self.task(task_id)
            assert task["upstreamJob"], task
            assert task["upstreamJob"]["state"] is not None, task
            return task

        return await eventually(has_state)


Open = Callable[..., Any]


@pytest.fixture
async def opened(sqlite_url: str) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def opened(
            declared: Operation, environment: Mapping[str, str] | None = None, **settings: Any
        ) -> Place:
            upstream = await stack.enter_async_context(job_upstream())
            given = {
                "database_url": sqlite_url,
                "broker_url": "memory://",
                "relay_interval_seconds": 0.05,
                **settings,
            }
            installation = await stack.enter_async_context(inside(declared, **given))
            installation.environment = {"JOBS": upstream.url, **(environment or {})}
            proxy = await installation.proxy()
            executor = await installation.executor()
            return Place(upstream, installation, await installation.client(proxy), executor)

        yield opened


async def polled(served: JobUpstream) -> None:
    """Until its first job has been asked for."""

    def check() -> None:
        assert served.polled["1"]

    await eventually(check)


async def cancelled(served: JobUpstream) -> None:
    """Until it was told that nobody waits for its first job, once."""

    def check() -> None:
        assert served.cancelled == ["1"]

    await eventually(check)


async def test_a_job_that_ends_in_the_window_is_answered_as_if_it_had_been_called(opened: Open):
    place = await opened(analyze())
    answer = await place.client.post("/analyze", json={})
    assert (answer.status_code, answer.json()) == (200, {"result": "1"})
    assert len(place.upstream.keys) == 1
    assert place.upstream.polled == {"1": 2}
    task = await place.task(answer.headers["task-id"])
    assert (task["status"], task["attempt"], len(task["attempts"])) == ("succeeded", 1, 1)
    assert task["upstreamJob"] == {
        "url": f"{place.upstream.url}/operations/1",
        "state": "succeeded",
    }
    assert task["progress"] == 100


async def test_between_two_polls_it_runs_for_callers_and_holds_nothing(opened: Open):
    place = await opened(analyze())
    place.upstream.polls = 1_000
    task_id = await place.start()
    task = await place.polled(task_id)
    assert (task["status"], task["progress"], task["attempt"]) == ("running", 40, 1)
    assert task["upstreamJob"]["state"] == "running"
    assert (await place.client.get("/tasks?status=queued")).json()["tasks"] == []
    assert len((await place.client.get("/tasks?status=running")).json()["tasks"]) == 1
    version = (await place.client.get(f"/tasks/{task_id}")).headers["etag"]
    polled = place.upstream.polled["1"]

    def again() -> None:
        assert place.upstream.polled["1"] > polled + 2

    await eventually(again)
    # What nobody can see is no change.
    assert (await place.client.get(f"/tasks/{task_id}")).headers["etag"] == version


async def test_polls_need_no_relay_and_no_message(opened: Open):
    place = await opened(analyze(), relay_interval_seconds=60)
    answer = await place.client.post("/analyze", json={})
    assert (answer.status_code, answer.json()) == (200, {"result": "1"})


async def test_an_executor_without_the_operation_leaves_its_jobs_alone(opened: Open):
    place = await opened(analyze())
    place.upstream.polls = 1_000
    task_id = await place.start()
    await place.polled(task_id)
    await place.executor.finish()
    other = await place.installation.executor(operation("other"))
    asked = place.upstream.polled["1"]
    await asyncio.sleep(0.5)
    assert place.upstream.polled["1"] == asked
    await other.finish()
    await place.installation.executor()
    place.upstream.jobs["1"].polls_left = 1
    task = await place.ended(task_id)
    assert (task["status"], task["attempt"], len(place.upstream.keys)) == ("succeeded", 1, 1)


async def test_a_job_that_is_asked_for_takes_a_slot(opened: Open):
    place = await opened(analyze(), concurrency=1)
    place.upstream.held = asyncio.Event()
    first = await place.start()
    await polled(place.upstream)
    second = await place.start()
    await asyncio.sleep(0.3)
    assert len(place.upstream.keys) == 1
    place.upstream.held.set()
    for task_id in (first, second):
        assert (await place.ended(task_id))["status"] == "succeeded"


async def test_a_row_that_cannot_be_read_keeps_no_other_job_for_long(opened: Open):
    place = await opened(analyze(everySeconds=[3600, 3600]))
    place.upstream.polls = 1
    bad, good = await place.start(), await place.start()

    async def both_wait() -> None:
        for task_id in (bad, good):
            assert (await place.task(task_id))["upstreamJob"] is not None

    await eventually(both_wait)
    due_now = "run_after = NULL, next_publish_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')"
    async with place.executor.connections.database.write() as connection:
        await connection.execute(text(f"UPDATE tasks SET {due_now}"))
        spoil = text("UPDATE tasks SET upstream_job = '{' WHERE id = :id")
        await connection.execute(spoil, {"id": UUID(bad).hex})
    with structlog.testing.capture_logs() as logs:
        assert (await place.ended(good))["status"] == "succeeded"
    assert "polls not taken" in [log["event"] for log in logs]


async def test_polls_bear_the_headers_of_the_operation_and_no_key(opened: Open):
    place = await opened(analyze(headers={"Authorization": "Bearer {UPSTREAM}"}))
    await place.client.post("/analyze", json={})
    for headers in place.upstream.headers:
        assert headers["Authorization"].startswith("Bearer http")
        assert not {"Idempotency-Key", "Content-Type", "Content-Length"} & headers.keys()


async def test_what_a_failed_job_says_is_seen_beside_the_failure(opened: Open):
    place = await opened(analyze())
    place.upstream.fails = True
    answer = await place.client.post("/analyze", json={})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (
        502,
        "upstream-job-failed",
    )
    task = await place.task(answer.headers["task-id"])
    assert (task["status"], task["upstreamJob"]["state"]) == ("failed", "failed")
    assert task["response"]["body"]["error"]["code"] == "BadScan"
    assert len(place.upstream.keys) == 1


@pytest.mark.parametrize("refusal", [500, 503, 429])
async def test_a_poll_that_is_refused_is_tried_again_and_burns_no_attempt(
    opened: Open, refusal: int
):
    place = await opened(analyze())
    place.upstream.refusals = [refusal] * 8
    answer = await place.client.post("/analyze", json={})
    assert (answer.status_code, answer.json()) == (200, {"result": "1"})
    assert (await place.task(answer.headers["task-id"]))["attempt"] == 1


@pytest.mark.parametrize("refusal", [404, 410, 401])
async def test_a_job_that_is_not_known_any_more_fails_the_task_and_is_not_started_again(
    opened: Open, refusal: int
):
    place = await opened(analyze())
    place.upstream.refusals = [refusal]
    answer = await place.client.post("/analyze", json={})
    assert answer.status_code == 502
    assert f"answered {refusal}" in answer.json()["detail"]
    assert len(place.upstream.keys) == 1


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://127.0.0.1:1/operations/1", "another origin, http://127.0.0.1:1,"),
        ("ftp://example.com/", "no address that can be used"),
        ("", "has no address"),
    ],
)
async def test_an_address_elsewhere_is_not_followed(opened: Open, address: str, told: str):
    place = await opened(analyze(url={"header": ["Operation-Location"]}))
    place.upstream.address = address or " "
    answer = await place.client.post("/analyze", json={})
    assert answer.status_code == 502
    assert answer.json()["type"].endswith("upstream-job-address-invalid")
    assert told in answer.json()["detail"] or not address
    assert (len(place.upstream.keys), place.upstream.polled) == (1, {})


async def test_an_allowed_origin_is_followed_without_the_operations_headers(opened: Open):
    async with job_upstream() as other:
        other.polls = 1
        declared = analyze(headers={"Authorization": "Bearer {UPSTREAM}"}, allowOrigins=["{OTHER}"])
        place = await opened(declared, {"OTHER": other.url})
        other.jobs["9"] = Job(1)
        place.upstream.address = f"{other.url}/operations/9"
        answer = await place.client.post("/analyze", json={})
        assert (answer.status_code, answer.json()) == (200, {"result": "9"})
        assert "Authorization" not in other.headers[0]


async def test_a_cancel_between_two_polls_reaches_the_upstream(opened: Open):
    place = await opened(analyze(everySeconds=[3600, 3600]))
    task_id = await place.start()

    async def waits() -> None:
        assert (await place.task(task_id))["upstreamJob"] is not None

    await eventually(waits)
    answer = await place.client.post(f"/tasks/{task_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    task = await place.ended(task_id)
    assert (task["status"], task["attempts"][-1]["outcome"]) == ("cancelled", "cancelled")
    await cancelled(place.upstream)
    assert place.upstream.polled == {}


async def test_a_cancel_during_a_poll_reaches_the_upstream(opened: Open):
    place = await opened(analyze())
    place.upstream.held = asyncio.Event()
    task_id = await place.start()
    await polled(place.upstream)
    await place.client.post(f"/tasks/{task_id}/cancel")
    assert (await place.ended(task_id))["status"] == "cancelled"
    await cancelled(place.upstream)
    place.upstream.held.set()


async def test_a_deadline_ends_the_job_too(opened: Open):
    place = await opened(analyze(everySeconds=[3600, 3600]))
    task_id = await place.start(**{"Task-Deadline": "5"})
    task = await place.ended(task_id)
    assert (task["status"], task["attempts"][-1]["outcome"]) == ("expired", "expired")
    await cancelled(place.upstream)


async def test_a_job_that_takes_too_long_fails_the_task_and_is_ended(opened: Open):
    place = await opened(analyze(maxSeconds=0.3))
    place.upstream.polls = 10_000
    answer = await place.client.post("/analyze", json={})
    assert answer.status_code == 504
    assert answer.json()["type"].endswith("upstream-job-timeout")
    assert place.upstream.cancelled == ["1"]


async def test_a_job_that_never_says_how_it_stands_is_told_so_in_the_end(opened: Open):
    until = {"pointer": "/state/name", "succeeded": ["succeeded"]}
    place = await opened(analyze(maxSeconds=0.3, until=until))
    answer = await place.client.post("/analyze", json={})
    assert answer.status_code == 504
    assert answer.json()["detail"] == (
        "The upstream's job did not end within 0.3 s. "
        "The last answer had no /state/name, which would say how it stands."
    )


async def test_an_executor_that_drains_during_a_poll_leaves_the_job_to_the_next(opened: Open):
    place = await opened(analyze())
    place.upstream.held = asyncio.Event()
    task_id = await place.start()
    await polled(place.upstream)
    await place.executor.finish()
    place.upstream.held.set()
    await place.installation.executor()
    task = await place.ended(task_id)
    assert (task["status"], task["attempt"], len(task["attempts"])) == ("succeeded", 1, 1)
    assert len(place.upstream.keys) == 1


async def test_a_retry_by_a_person_starts_a_job_anew(opened: Open):
    place = await opened(analyze())
    place.upstream.fails = True
    answer = await place.client.post("/analyze", json={})
    place.upstream.fails = False
    task_id = answer.headers["task-id"]
    retried = await place.client.post(f"/tasks/{task_id}/retry")
    assert (retried.json()["status"], retried.json()["upstreamJob"]) == ("queued", None)
    assert (await place.ended(task_id))["status"] == "succeeded"
    assert len(place.upstream.keys) == 2


async def test_a_result_whose_executor_is_gone_before_it_is_recorded_is_stored_once_more(
    opened: Open, monkeypatch: pytest.MonkeyPatch
):
    """The attempt is still the first: what was stored of it before is in nobody's way."""
    place = await opened(analyze(), inline_body_bytes=100, lease_seconds=2)
    place.upstream.filler = "x" * 10_000
    finish, lost = Claims.finish, list[Outcome]()

    async def is_lost_once(claims: Claims, task: ClaimedTask, outcome: Outcome) -> Outcome | None:
        if outcome.status.is_final and not lost:
            lost.append(outcome)
            return None
        return await finish(claims, task, outcome)

    monkeypatch.setattr(Claims, "finish", is_lost_once)
    task = await place.ended(await place.start())
    assert (task["status"], task["attempt"]) == ("succeeded", 1)
    assert len(lost) == 1
    answer = await place.client.get(task["links"]["response"])
    assert answer.json() == {"result": "1", "filler": place.upstream.filler}


@pytest.mark.parametrize("result", [POLL["result"], None], ids=["of its own", "the last poll's"])
async def test_a_result_that_cannot_be_kept_yet_is_asked_for_again(
    opened: Open, monkeypatch: pytest.MonkeyPatch, result: dict[str, str] | None
):
    place = await opened(analyze(result=result), inline_body_bytes=100)
    place.upstream.filler = "x" * 10_000
    put, failures = DatabaseChunks.put, [BlobStoreUnavailableError(reason="full")] * 2

    async def fails_twice(chunks: DatabaseChunks, name: str, number: int, chunk: bytes) -> None:
        if failures:
            raise failures.pop()
        await put(chunks, name, number, chunk)

    monkeypatch.setattr(DatabaseChunks, "put", fails_twice)
    task = await place.ended(await place.start())
    assert (task["status"], task["attempt"]) == ("succeeded", 1)
    assert (len(place.upstream.keys), failures) == (1, [])
    answer = await place.client.get(task["links"]["response"])
    assert answer.json()["filler"] == place.upstream.filler
