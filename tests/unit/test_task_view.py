"""The task document that callers read."""

from datetime import UTC, datetime
from typing import Any

import orjson

from asyncproxy.schemas import TASK_SCHEMA
from asyncproxy.task_view import task_response
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
