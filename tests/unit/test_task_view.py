"""The task document that callers read."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from asyncproxy.schemas import TASK_SCHEMA
from asyncproxy.task_view import reply_response, row_response, task_response
from asynctasks.broker.messages import Reply
from asynctasks.task import Task, TaskStatus, new_task_id

ACCEPTED, STARTED, FINISHED = (datetime(2026, 1, 1, 12, 0, n, tzinfo=UTC) for n in range(3))
DEADLINE = datetime(2026, 1, 1, 13, tzinfo=UTC)


def failed_task() -> Task:
    return Task(
        id=new_task_id(),
        operation="create-client",
        queue="clients",
        status=TaskStatus.FAILED,
        arguments={"name": "Ann"},
        attempt=2,
        max_attempts=3,
        created_at=ACCEPTED,
        started_at=STARTED,
        finished_at=FINISHED,
        deadline=DEADLINE,
        progress=40,
        message="Client 4 of 10",
        labels={"team": "blue"},
        attempts=[{"number": 1}, {"number": 2}],
        response_status=400,
        response_content_type="application/json",
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
        "status": "failed",
        "done": True,
        "attempt": 2,
        "maxAttempts": 3,
        "createdAt": "2026-01-01T12:00:00Z",
        "startedAt": "2026-01-01T12:00:01Z",
        "finishedAt": "2026-01-01T12:00:02Z",
        "deadline": "2026-01-01T13:00:00Z",
        "progress": 40,
        "message": "Client 4 of 10",
        "labels": {"team": "blue"},
        "arguments": {"name": "Ann"},
        "attempts": [{"number": 1}, {"number": 2}],
        "response": {
            "status": 400,
            "contentType": "application/json",
            "body": {"name": "taken"},
        },
        "error": None,
    }


def test_the_document_has_just_the_members_that_openapi_tells_of():
    assert set(document(failed_task())) == set(TASK_SCHEMA["properties"])


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
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["content-type"] == (content_type or "application/octet-stream")
    assert row_response(task).headers["cache-control"] == "no-store"
