"""A callback says that a task has ended, and no more of it than was asked for."""

import datetime as dt
from typing import Any
from uuid import UUID

import orjson
import pytest

from asynctasks.callbacks.event import TaskEnd, event_body
from asynctasks.response import Response
from asynctasks.task import TaskStatus

TASK = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
ENDED = dt.datetime(2026, 11, 28, 18, 30, 5, 250_000, dt.UTC)
LINKS = {"self": f"https://tasks.example.com/tasks/{TASK}"}


def end(status: TaskStatus = TaskStatus.SUCCEEDED, response: Response | None = None) -> TaskEnd:
    return TaskEnd(
        TASK,
        "create-client",
        status,
        {"team": "a"},
        attempt=2,
        created_at=ENDED - dt.timedelta(seconds=5),
        finished_at=ENDED,
        links=LINKS,
        response=response,
    )


def event(of: TaskEnd, *, includes_response: bool = False) -> Any:
    body = event_body(
        of,
        delivery_id="d-1",
        source="https://tasks.example.com",
        includes_response=includes_response,
    )
    return orjson.loads(body)


def told(response: Response | None) -> Any:
    return event(end(response=response), includes_response=True)["data"]["response"]


def test_an_event_is_one_of_cloudevents_and_thin():
    assert event(end(response=Response(200, "text/plain", b"secret"))) == {
        "specversion": "1.0",
        "id": "d-1",
        "source": "https://tasks.example.com",
        "type": "dev.asyncapiproxy.task.succeeded",
        "subject": str(TASK),
        "time": "2026-11-28T18:30:05.250000Z",
        "datacontenttype": "application/json",
        "data": {
            "id": str(TASK),
            "operation": "create-client",
            "status": "succeeded",
            "labels": {"team": "a"},
            "attempt": 2,
            "createdAt": "2026-11-28T18:30:00.250000Z",
            "finishedAt": "2026-11-28T18:30:05.250000Z",
            "links": LINKS,
        },
    }


@pytest.mark.parametrize("status", [status for status in TaskStatus if status.is_final])
def test_each_end_has_a_type_of_its_own(status: TaskStatus):
    found = event(end(status))
    assert found["type"] == f"dev.asyncapiproxy.task.{status}"
    assert found["data"]["status"] == status


@pytest.mark.parametrize("status", [TaskStatus.QUEUED, TaskStatus.RUNNING])
def test_what_goes_on_has_no_event(status: TaskStatus):
    with pytest.raises(AssertionError):
        event(end(status))


@pytest.mark.parametrize(
    ("content_type", "body", "shown"),
    [
        ("application/json", b'{"a":\r\n[1.10, null]}', {"a": [1.1, None]}),
        ("application/problem+json", b"null", None),
        ("text/plain", "ä".encode(), "ä"),
        ("text/plain", b"", ""),
        ("application/json", b"[" * 300 + b"]" * 300, ...),
        ("text/plain", b"x" * 20_000, "x" * 20_000),
    ],
)
def test_a_response_goes_with_it_where_that_is_asked_for(
    content_type: str, body: bytes, shown: Any
):
    found = told(Response(201, content_type, body))
    assert found.keys() == {"status", "contentType", "body"}
    assert (found["status"], found["contentType"]) == (201, content_type)
    assert shown is ... or found["body"] == shown


def test_digits_of_a_response_stay_as_they_came():
    response = Response(200, "application/json", b'{"price": 1.10}')
    body = event_body(end(response=response), delivery_id="d-1", source="/", includes_response=True)
    assert b'"body":{"price": 1.10}' in body


@pytest.mark.parametrize(
    ("response", "omitted"),
    [
        (Response(200, "text/plain", b"x" * 20_001), "too-large"),
        (Response(200, "text/plain", b"", blob="b-1"), "too-large"),
        (Response(200, "image/png", b"\x89PNG\xff"), "neither-json-nor-text"),
        (Response(200, "application/json", b"{"), "neither-json-nor-text"),
        (
            Response(200, "text/plain", b"x", headers=(("Content-Encoding", "gzip"),)),
            "neither-json-nor-text",
        ),
    ],
)
def test_a_body_that_does_not_go_with_it_is_said_to_be_left_out(response: Response, omitted: str):
    assert told(response) == {
        "status": 200,
        "contentType": response.content_type,
        "body": None,
        "bodyOmitted": omitted,
    }


def test_a_task_that_ended_without_a_response_has_none():
    assert told(None) is None
