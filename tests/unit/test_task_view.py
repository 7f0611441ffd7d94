"""The task document that callers read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from asyncproxy.schemas import COMPONENTS
from asyncproxy.task_view import not_modified, reply_response, row_response, task_response
from asynctasks.broker.messages import Reply
from asynctasks.instants import utc_now
from asynctasks.task import Task, TaskStatus, new_task_id

ACCEPTED, STARTED, FINISHED = (datetime(2026, 1, 1, 12, 0, n, tzinfo=UTC) for n in range(3))
NO_STORE = {"Cache-Control": "no-store"}
DEADLINE = datetime(2026, 1, 1, 13, tzinfo=UTC)


def failed_task() -> Task:
    return Task(
        id=new_task_id(),
        operation="create-client",
        principal="ann",
        tenant="red",
        queue="clients",
        status=TaskStatus.FAILED,
        priority=7,
        arguments={"name": "Ann"},
        attempt=2,
        max_attempts=3,
        cancel_requested=True,
        created_at=ACCEPTED,
        started_at=STARTED,
        finished_at=FINISHED,
        deadline=DEADLINE,
        progress=40,
        message="Client 4 of 10",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        labels={"team": "blue"},
        batch="import-7",
        attempts=[{"number": 1}, {"number": 2}],
        response_status=400,
        response_content_type="application/json",
        response_headers=[["Link", "</a>"], ["ETag", '"7"'], ["link", "</b>"]],
        response_body=b'{"name": "taken"}',
    )


def document(task: Task) -> dict[str, Any]:
    return orjson.loads(task_response(task, retry_after_seconds=1).body)


def test_the_document_holds_each_fact_of_the_row():
    task = failed_task()
    shown = document(task)
    assert shown.pop("links")["self"] == f"/tasks/{task.id}"
    assert shown == {
        "id": str(task.id),
        "operation": "create-client",
        "principal": "ann",
        "tenant": "red",
        "status": "failed",
        "done": True,
        "priority": 7,
        "attempt": 2,
        "countedAttempts": 2,
        "maxAttempts": 3,
        "cancelRequested": True,
        "createdAt": "2026-01-01T12:00:00Z",
        "startedAt": "2026-01-01T12:00:01Z",
        "finishedAt": "2026-01-01T12:00:02Z",
        "deadline": "2026-01-01T13:00:00Z",
        "progress": 40,
        "message": "Client 4 of 10",
        "heldBy": None,
        "nextAttemptAt": None,
        "upstreamJob": None,
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "labels": {"team": "blue"},
        "batch": "import-7",
        "arguments": {"name": "Ann"},
        "attempts": [{"number": 1}, {"number": 2}],
        "response": {
            "status": 400,
            "contentType": "application/json",
            "headers": {"link": ["</a>", "</b>"], "etag": ['"7"']},
            "body": {"name": "taken"},
        },
        "error": None,
    }


def test_attempts_that_were_cut_short_or_given_back_are_not_counted():
    task = failed_task()
    task.attempt, task.interruptions, task.drains = 6, 1, 3
    shown = document(task)
    assert (shown["attempt"], shown["countedAttempts"], shown["maxAttempts"]) == (6, 2, 3)


def test_the_next_attempt_is_told_of_what_waits_for_it():
    task = failed_task()
    task.run_after = ACCEPTED
    assert document(task)["nextAttemptAt"] is None
    task.status = TaskStatus.QUEUED
    assert document(task)["nextAttemptAt"] == "2026-01-01T12:00:00Z"


def test_an_upstreams_job_is_shown_without_what_may_be_a_key():
    task = failed_task()
    task.status = TaskStatus.QUEUED
    task.run_after = ACCEPTED
    task.upstream_job = {"url": "https://a:b@u.example:8443/jobs/1?sig=c#d", "state": "busy"}
    shown = document(task)
    assert shown["upstreamJob"] == {"url": "https://u.example:8443/jobs/1", "state": "busy"}
    assert (shown["status"], shown["nextAttemptAt"]) == ("running", None)


def test_the_document_has_just_the_members_that_openapi_tells_of():
    assert set(document(failed_task())) == set(COMPONENTS["Task"]["properties"])


@pytest.mark.parametrize("content_type", ["text/html", ""])
def test_a_stored_answer_is_served_so_that_nothing_of_it_runs(content_type: str):
    task = Task(
        id=new_task_id(),
        operation="a",
        queue="a",
        arguments={},
        max_attempts=1,
        created_at=ACCEPTED,
        status=TaskStatus.SUCCEEDED,
        response_status=200,
        response_content_type=content_type,
        response_body=b"<script>alert(1)</script>",
    )
    reply = Reply(task.id, task.status, task.response)
    for answer in (row_response(task), reply_response(reply, {})):
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["content-type"] == (content_type or "application/octet-stream")


def answered(*headers: tuple[str, str], status: int = 200, body: bytes = b"{}") -> Task:
    return Task(
        id=new_task_id(),
        operation="a",
        queue="a",
        arguments={},
        max_attempts=1,
        created_at=ACCEPTED,
        finished_at=utc_now() - timedelta(seconds=90),
        status=TaskStatus.SUCCEEDED,
        response_status=status,
        response_content_type="application/json",
        response_headers=[[name, value] for name, value in headers],
        response_body=body,
    )


def test_how_long_an_answer_may_be_cached_the_upstream_says_and_age_how_much_is_over():
    headers = row_response(answered(("Cache-Control", "max-age=60")), NO_STORE).headers
    assert headers.getlist("cache-control") == ["max-age=60"]
    assert 90 <= int(headers["age"]) <= 100
    headers = row_response(answered(("Expires", "0")), NO_STORE).headers
    assert "cache-control" not in headers
    headers = row_response(answered(("ETag", '"7"')), NO_STORE).headers
    assert headers.getlist("cache-control") == ["no-store"]
    assert "age" not in headers


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("/clients/7", "https://door.example/api/clients/7"),
        ("//elsewhere.example/7", "//elsewhere.example/7"),
        ("https://u.example/clients/7", "https://u.example/clients/7"),
    ],
)
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_a_path_of_the_proxy_is_told_with_its_public_address(name: str, told: str, expected: str):
    task = answered((name, told))
    reply = Reply(task.id, task.status, task.response)
    prefix = "https://door.example/api"
    for answer in (row_response(task, prefix=prefix), reply_response(reply, {}, prefix=prefix)):
        assert answer.headers[name] == expected


@pytest.mark.parametrize("asked", ['"7"', 'W/"7"', '"6", "7"', "*"])
def test_who_has_the_upstreams_answer_already_gets_its_headers_alone(asked: str):
    task = answered(("ETag", 'W/"7"'), ("Vary", "Accept"))
    answer = not_modified(row_response(task), asked)
    assert (answer.status_code, answer.body) == (304, b"")
    assert answer.headers["etag"] == 'W/"7"'
    assert answer.headers["vary"] == "Accept"
    assert "content-type" not in answer.headers


@pytest.mark.parametrize(
    ("task", "asked"),
    [
        (answered(("ETag", '"7"')), '"8"'),
        (answered(("ETag", '"7"')), None),
        (answered(("ETag", '"7"'), status=404), '"7"'),
        (answered(), "*"),
    ],
)
def test_any_other_gets_all_of_it(task: Task, asked: str | None):
    answer = not_modified(row_response(task), asked)
    assert answer.status_code == task.response_status
    assert answer.body == b"{}"


def test_a_packed_body_is_only_at_its_link():
    assert document(answered(("Content-Encoding", "br")))["response"]["body"] is None
    assert document(answered())["response"]["body"] == {}
