"""A task is made once, however often its call is repeated; its answer is found in the end."""

import io
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO
from unittest.mock import ANY
from uuid import UUID

import httpx
import pytest

from asyncapiproxy import (
    BusyError,
    CallInvalidError,
    CallRefusedError,
    NotAProxyError,
    NotFoundError,
    ProxyUnreachableError,
    TaskCancelledError,
    TaskExpiredError,
    TaskFailedError,
    TaskUnfinishedError,
)
from asyncapiproxy.client.request_body import request_body
from asyncapiproxy.client.results import raise_failure, result, seconds_of
from asyncapiproxy.client.submission import Submission, Submitted, submission, submit
from asyncapiproxy.client.task_options import option_headers
from asynctestkit.scripted_proxy import (
    TASK_ID,
    Answer,
    ScriptedProxy,
    accepted,
    answer,
    lost,
    openapi,
    problem,
    refused,
    shown,
    task,
)

BODY: Any = dict.fromkeys(("delay", "deadline", "priority", "labels", "batch", "callback"))


def wanted(
    operation: str = "create-client",
    *,
    wait: float | None = 10,
    key: str | None = None,
    body: bytes | BinaryIO | None = None,
) -> Submission:
    given = {"name": "Ann"} if body is None else {}
    return submission(
        operation, given, wait=wait, key=key, body=body, content_type="application/pdf", **BODY
    )


def submitted(*answers: Answer, **more: Any) -> tuple[Submitted, ScriptedProxy]:
    proxy = ScriptedProxy(openapi(), *answers)
    return proxy.run(submit(proxy, wanted(**more))), proxy


def test_an_answer_in_time_comes_with_the_task():
    done, proxy = submitted(answer())
    assert (done.state.id, done.state.status, done.state.is_done) == (TASK_ID, "succeeded", True)
    assert done.answer is not None
    assert done.answer.json() == {"id": 7}
    assert proxy.asked == ["GET /openapi.json", "POST /clients"]
    assert proxy.calls[1].answer_seconds == 40


def test_each_task_has_a_key_of_its_own_and_its_repeats_have_the_same():
    done, proxy = submitted(lost(), refused(), accepted())
    keys = {proxy.headers(number)["Idempotency-Key"] for number in (1, 2, 3)}
    assert keys == {done.key}
    assert submitted(accepted())[0].key != done.key
    assert submitted(accepted(), key="mine")[0].key == "mine"


def test_a_repeat_waits_for_what_is_left_of_the_window():
    proxy = ScriptedProxy(openapi(), lost(), lost(), accepted())
    proxy.run(submit(proxy, wanted(wait=0)))
    assert proxy.headers(1)["Prefer"] == "respond-async"
    proxy = ScriptedProxy(openapi(), lost(), lost(), accepted())
    proxy.seconds_to_answer = 4
    proxy.run(submit(proxy, wanted(wait=10)))
    waits = [proxy.headers(number)["Prefer"] for number in (1, 2, 3)]
    assert waits == ["wait=10", "wait=5", "wait=1"]


def test_the_operations_own_window_is_waited_for():
    _, proxy = submitted(accepted(), wait=None)
    assert "Prefer" not in proxy.headers()
    assert proxy.calls[-1].answer_seconds == 330


def test_who_gives_up_is_told_the_key():
    for given, kind in ((lost(), ProxyUnreachableError), (problem(503, "overloaded"), BusyError)):
        proxy = ScriptedProxy(openapi(), given)
        with pytest.raises(kind) as raised:
            proxy.run(submit(proxy, wanted(key="mine")))
        assert raised.value.key == "mine"  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [429, 503])
def test_an_answer_that_is_the_tasks_is_not_asked_for_again(status: int):
    done, proxy = submitted(answer(status, Retry_After="1"))
    assert done.state.status == "failed"
    assert len(proxy.calls) == 2


def test_a_problem_that_is_the_tasks_is_how_it_ended():
    done, _ = submitted(problem(502, "upstream-failed", of_task=True))
    assert (done.state.status, done.answer) == ("failed", None)
    assert done.state.error is not None
    assert done.state.error.name == "upstream-failed"
    ended = [submitted(problem(409, f"task-{it}", of_task=True)) for it in ("cancelled", "expired")]
    assert [done.state.status for done, _ in ended] == ["cancelled", "expired"]


def test_a_call_that_is_wrong_makes_no_task():
    proxy = ScriptedProxy(openapi(), problem(422, "arguments-invalid"))
    with pytest.raises(CallRefusedError):
        proxy.run(submit(proxy, wanted()))
    proxy = ScriptedProxy(openapi(), httpx.Response(200, text="hello"))
    with pytest.raises(NotAProxyError, match="names no task"):
        proxy.run(submit(proxy, wanted()))


def test_an_upstreams_own_202_is_an_answer():
    done, _ = submitted(answer(202, Location="/jobs/1"))
    assert (done.state.status, done.answer is not None) == ("succeeded", True)


def test_a_303_to_where_the_answer_will_be_is_no_answer():
    location = f"/api/tasks/{TASK_ID}/response?wait=30"
    headers = {"Task-Id": TASK_ID, "Location": location}
    done, _ = submitted(httpx.Response(303, json=task("running"), headers=headers))
    assert (done.state.status, done.answer) == ("running", None)


def test_whether_an_upstreams_redirect_is_a_success_is_asked():
    done, proxy = submitted(answer(303, Location="/clients/7"), shown("succeeded"))
    assert (done.state.status, done.answer is not None) == ("succeeded", True)
    assert proxy.asked[-1] == f"GET /tasks/{TASK_ID}"


def moved() -> httpx.Response:
    document = openapi().json()
    document["paths"]["/v2/clients"] = document["paths"].pop("/clients")
    return httpx.Response(200, json=document)


def test_an_operation_that_has_moved_is_found():
    _, proxy = submitted(problem(404), moved(), accepted())
    assert proxy.asked[1:] == ["POST /clients", "GET /openapi.json", "POST /v2/clients"]
    assert proxy.headers(1)["Idempotency-Key"] == proxy.headers(3)["Idempotency-Key"]
    with pytest.raises(NotFoundError):
        submitted(problem(404), openapi(), accepted())


def test_a_file_is_sent_again_from_where_it_stood():
    file = io.BytesIO(b"skipped%PDF")
    file.seek(7)
    body = request_body(file, content_type="application/pdf")
    for _ in range(2):
        assert (b"".join(body.chunks()), body.length) == (b"%PDF", 4)
    assert request_body(b"%PDF", content_type="").length == 4


async def test_a_file_is_read_beside_the_loop():
    body = request_body(io.BytesIO(b"x" * 100_000), content_type="application/pdf")
    for _ in range(2):
        assert [len(chunk) async for chunk in body.async_chunks()] == [65_536, 34_464]


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


def test_what_cannot_be_read_twice_is_held():
    body = request_body(Pipe(b"%PDF"), content_type="")
    assert [b"".join(body.chunks()) for _ in range(2)] == [b"%PDF"] * 2


def test_a_body_is_for_those_that_take_one():
    _, proxy = submitted(accepted(), operation="scan", body=b"%PDF")
    assert proxy.calls[-1].body is not None
    assert proxy.calls[-1].body.content == b"%PDF"
    with pytest.raises(CallInvalidError, match="takes no body"):
        submitted(accepted(), body=b"%PDF")


def test_options_become_headers():
    at = datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert option_headers(delay=0, deadline=at, priority=0, labels={"a": "b", "c": ""}) == {
        "Task-Delay": "0",
        "Task-Deadline": "2026-11-27T12:00:00+00:00",
        "Task-Priority": "0",
        "Task-Labels": "a=b, c=",
    }
    assert option_headers(delay=1.5, deadline=timedelta(minutes=2)) == {
        "Task-Delay": "1.5",
        "Task-Deadline": "120",
    }
    assert option_headers(labels={}, batch="import-7", callback="https://a.example") == {
        "Task-Batch": "import-7",
        "Task-Callback": "https://a.example",
    }


@pytest.mark.parametrize(
    "given",
    [
        {"arguments": ["a"]},
        {"arguments": "a"},
        {"arguments": {"name": "\ud800"}},
        {"labels": ["a"]},
        {"labels": {"a": "1, b=2"}},
        {"labels": {"a=b": "c"}},
        {"labels": {"a": "b\r\nX: y"}},
        {"callback": "https://a.example\r\nX: y"},
        {"callback": 5},
        {"batch": "ä"},
        {"batch": 7},
        {"key": ""},
        {"key": UUID(int=0)},
        {"body": "text", "operation": "scan"},
        {"body": io.StringIO("text"), "operation": "scan"},
        {"wait": -1},
        {"wait": math.nan},
        {"wait": "5"},
        {"delay": "5"},
        {"deadline": "soon"},
    ],
)
def test_what_cannot_be_sent_is_told_before_it_is(given: Any):
    proxy = ScriptedProxy(openapi(), accepted())
    whole: dict[str, Any] = {
        "operation": "create-client",
        "arguments": None,
        "wait": 10,
        "key": None,
        "body": None,
        "content_type": "application/pdf",
        **BODY,
        **given,
    }
    with pytest.raises(CallInvalidError):
        proxy.run(submit(proxy, submission(**whole)))
    assert not [asked for asked in proxy.asked if asked.startswith("POST")]


def test_every_time_may_be_a_timedelta():
    wait = timedelta(minutes=2)
    assert submission("a", None, wait=wait, key=None, body=None, content_type="", **BODY) == (
        replace(
            submission("a", None, wait=120, key=None, body=None, content_type="", **BODY), key=ANY
        )
    )
    assert (seconds_of(timedelta(seconds=5)), seconds_of(3), seconds_of(None)) == (5, 3, None)
    with pytest.raises(CallInvalidError, match="timeout"):
        seconds_of("5")  # type: ignore[arg-type]


def going_on(seconds: int = 20) -> httpx.Response:
    location = f"/tasks/{TASK_ID}/response?wait={seconds}"
    headers = {"Task-Id": TASK_ID, "Location": location}
    return httpx.Response(303, json=task(), headers=headers)


def test_a_result_is_waited_for_at_the_proxy():
    proxy = ScriptedProxy(going_on(), going_on(), answer())
    assert proxy.run(result(proxy, TASK_ID, seconds=None)).json() == {"id": 7}
    assert proxy.asked == [f"GET /tasks/{TASK_ID}/response?wait=20"] * 3
    assert proxy.pauses == []


def test_a_proxy_that_does_not_wait_is_asked_again_when_it_says_so():
    unfinished = problem(409, "task-not-finished", Retry_After="2")
    proxy = ScriptedProxy(unfinished, answer())
    proxy.run(result(proxy, TASK_ID, seconds=None))
    assert proxy.pauses == [2.0]


def test_a_result_that_comes_too_late_is_no_failure_of_the_task():
    proxy = ScriptedProxy(going_on())
    proxy.seconds_to_answer = 4
    with pytest.raises(TimeoutError) as raised:
        proxy.run(result(proxy, TASK_ID, seconds=10))
    assert isinstance(raised.value, TaskUnfinishedError)
    waits = [path.rpartition("wait=")[2] for path in proxy.asked]
    assert waits == ["10", "6", "2"]
    assert proxy.calls[-1].answer_seconds == 3


def test_a_proxy_that_is_away_when_the_time_is_over_is_no_more_than_that():
    proxy = ScriptedProxy(lost())
    with pytest.raises(TaskUnfinishedError):
        proxy.run(result(proxy, TASK_ID, seconds=3))
    assert proxy.now <= 3
    proxy = ScriptedProxy(lost())
    with pytest.raises(ProxyUnreachableError):
        proxy.run(result(proxy, TASK_ID, seconds=None))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("upstream-failed", TaskFailedError),
        ("task-cancelled", TaskCancelledError),
        ("task-expired", TaskExpiredError),
    ],
)
def test_a_task_without_an_answer_is_an_error(name: str, kind: type[TaskFailedError]):
    proxy = ScriptedProxy(problem(502, name, of_task=True))
    with pytest.raises(TaskFailedError, match=r"Detail\.") as raised:
        proxy.run(result(proxy, TASK_ID, seconds=None))
    assert type(raised.value) is kind
    assert (raised.value.task_id, raised.value.response) == (TASK_ID, None)


def test_an_upstream_that_refuses_fails_the_task():
    proxy = ScriptedProxy(answer(418))
    response = proxy.run(result(proxy, TASK_ID, seconds=None))
    with pytest.raises(TaskFailedError, match="answered 418") as raised:
        proxy.run(raise_failure(proxy, TASK_ID, response))
    assert raised.value.response is response


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_a_redirect_fails_a_task_or_does_not(status: Any):
    proxy = ScriptedProxy(shown(status))
    steps = raise_failure(proxy, TASK_ID, answer(301, Location="/clients/7"))
    if status == "succeeded":
        proxy.run(steps)
    else:
        with pytest.raises(TaskFailedError):
            proxy.run(steps)


def test_a_task_that_is_forgotten_meanwhile_ends_the_wait():
    proxy = ScriptedProxy(going_on(), problem(404, "task-not-found"))
    with pytest.raises(NotFoundError):
        proxy.run(result(proxy, TASK_ID, seconds=None))
