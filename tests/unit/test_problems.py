"""Errors as callers see them."""

from typing import Any

import orjson
import pytest
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from asyncproxy import problems
from asyncproxy.problems import KINDS, on_error, on_http_exception, on_unknown_error
from asynctasks import errors
from asynctasks.errors import Violation
from asynctasks.seldom import Seldom
from asynctasks.task import new_task_id


@pytest.fixture(autouse=True)
def nothing_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test was refused keeps no line from this one."""
    monkeypatch.setattr(problems, "_refusals", Seldom())


@pytest.fixture
def request_() -> Request:
    return Request(
        {
            "type": "http",
            "method": "PUT",
            "path": "/nowhere",
            "query_string": b"",
            "headers": [(b"host", b"proxy")],
        }
    )


def problem(response: Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = orjson.loads(response.body)
    assert document["status"] == response.status_code
    return document


@pytest.mark.parametrize(
    ("error", "status", "type_", "detail"),
    [
        (problems.MalformedJsonError("line 1"), 400, "malformed-json", "line 1"),
        (problems.HeaderInvalidError("X"), 400, "header-invalid", "X"),
        (problems.BodyTooLargeError("big"), 413, "body-too-large", "big"),
        (problems.UnsupportedMediaTypeError("text"), 415, "unsupported-media-type", "text"),
        (errors.TaskNotFinishedError(), 409, "task-not-finished", "The task has not finished yet."),
        (errors.DatabaseUnavailableError("away"), 503, "database-unavailable", "away"),
    ],
)
def test_each_error_is_a_problem_of_its_own_type(
    request_: Request, error: Exception, status: int, type_: str, detail: str
):
    document = problem(on_error(request_, error))
    assert document["status"] == status
    assert document["type"] == f"https://asyncapiproxy.dev/problems/{type_}"
    assert document["detail"] == detail


def test_a_caller_learns_no_host_and_no_role_of_what_is_away(request_: Request):
    error = errors.DatabaseUnavailableError(reason='no entry for host "10.1.2.3", user "tasks"')
    with structlog.testing.capture_logs() as logs:
        document = problem(on_error(request_, error))
    assert document["detail"] == "The task database does not answer."
    assert [entry["reason"] for entry in logs] == [
        'The task database does not answer: no entry for host "10.1.2.3", user "tasks"'
    ]


def test_an_unknown_task_is_named(request_: Request):
    task_id = new_task_id()
    document = problem(on_error(request_, errors.TaskNotFoundError(task_id)))
    assert document["status"] == 404
    assert str(task_id) in document["detail"]


def test_each_violation_is_listed_by_its_pointer(request_: Request):
    error = errors.ArgumentsInvalidError([Violation("", "a"), Violation("/b/0", "c")])
    document = problem(on_error(request_, error))
    assert document["status"] == 422
    assert document["errors"] == [
        {"pointer": "", "detail": "a"},
        {"pointer": "/b/0", "detail": "c"},
    ]
    assert document["detail"] == "the arguments: a; /b/0: c"


def test_what_passes_says_when_to_come_back(request_: Request):
    response = on_error(request_, errors.DatabaseUnavailableError())
    assert int(response.headers["retry-after"]) > 0
    assert "retry-after" not in on_error(request_, errors.TaskNotFoundError("x")).headers


def test_those_who_are_refused_together_do_not_come_again_together(request_: Request):
    refused = [on_error(request_, errors.DatabaseUnavailableError()) for _ in range(100)]
    assert {response.headers["retry-after"] for response in refused} == {"2", "3", "4"}


def test_refusals_of_one_outage_are_few_lines(request_: Request, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(problems, "_refusals", Seldom())
    with structlog.testing.capture_logs() as logs:
        for _ in range(50):
            on_error(request_, errors.DatabaseUnavailableError("no route"))
    assert [line["reason"] for line in logs] == ["no route"]


def test_no_two_kinds_share_a_type():
    assert len({kind.type for kind in KINDS.values()}) == len(KINDS)
    assert all(400 <= kind.status < 600 for kind in KINDS.values())


def test_an_error_that_no_caller_should_see_is_a_fault_of_ours(request_: Request):
    document = problem(on_error(request_, errors.SealingKeyMissingError("key of ann")))
    assert document["status"] == 500
    assert "ann" not in str(document)


def test_a_fault_of_ours_is_not_shown(request_: Request):
    document = problem(on_unknown_error(request_, RuntimeError("password=hunter2")))
    assert document["type"] == "https://asyncapiproxy.dev/problems/internal-error"
    assert "hunter2" not in str(document)


@pytest.mark.parametrize(
    ("error", "title", "detail"),
    [
        (HTTPException(404), "Not Found", "Nothing is served at /nowhere."),
        (HTTPException(405), "Method Not Allowed", "PUT is not served at /nowhere."),
        (HTTPException(418, "short and stout"), "I'm a Teapot", "short and stout"),
    ],
)
def test_what_the_router_refuses_is_a_problem(
    request_: Request, error: HTTPException, title: str, detail: str
):
    document = problem(on_http_exception(request_, error))
    assert (document["type"], document["title"], document["detail"]) == (
        "about:blank",
        title,
        detail,
    )


def test_the_methods_that_are_served_are_kept(request_: Request):
    response = on_http_exception(request_, HTTPException(405, headers={"Allow": "POST"}))
    assert response.headers["allow"] == "POST"
