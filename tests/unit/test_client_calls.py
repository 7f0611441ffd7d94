"""What the client library asks of a proxy, how often, and what it makes of the answers."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

import asyncapiproxy
from asyncapiproxy import (
    BusyError,
    CallerRefusedError,
    CallInvalidError,
    CallRefusedError,
    ConflictError,
    NotAProxyError,
    NotFoundError,
    OperationUnknownError,
    ProblemError,
    ProxyUnreachableError,
    TaskStatus,
    TokenUnusableError,
    UrlInvalidError,
)
from asyncapiproxy.client import calls
from asyncapiproxy.client.connection import address, is_of, unanswered
from asyncapiproxy.client.repeating import retry_after_seconds
from asyncapiproxy.client.task_filter import TaskFilter
from asyncapiproxy.client.task_state import TaskState
from asynctasks.task import TaskStatus as ServersStatus
from asynctestkit.scripted_proxy import (
    TASK_ID,
    Answer,
    ScriptedProxy,
    lost,
    openapi,
    problem,
    refused,
    shown,
    task,
)


def test_all_that_is_exported_is_there():
    for name in asyncapiproxy.__all__:
        assert getattr(asyncapiproxy, name) is not None
    with pytest.raises(AttributeError, match="Klient"):
        _ = asyncapiproxy.Klient  # type: ignore[attr-defined]


@pytest.mark.parametrize("task_id", ["", None, 7])
def test_what_is_no_id_at_all_is_not_asked_for(task_id: Any):
    proxy = ScriptedProxy()
    with pytest.raises(CallInvalidError, match="expected that of a task"):
        proxy.run(calls.task(proxy, task_id))
    assert proxy.asked == []


def test_what_is_no_path_or_instant_is_told():
    proxy = ScriptedProxy()
    with pytest.raises(CallInvalidError, match="/queues"):
        proxy.run(calls.asked(proxy, "GET", "queues"))
    with pytest.raises(CallInvalidError, match="a datetime"):
        TaskFilter(created_after="yesterday").query(page_size=1, page_token=None)  # type: ignore[arg-type]
    for url in (None, 5):
        with pytest.raises(UrlInvalidError):
            address(url, token=None)  # type: ignore[arg-type]
    with pytest.raises(TokenUnusableError):
        address("http://localhost", token=5)  # type: ignore[arg-type]


def test_an_answer_in_time_tells_no_labels():
    assert TaskState({"id": TASK_ID}).labels is None
    assert TaskState({"id": TASK_ID, "labels": {}}).labels == {}


def test_it_knows_the_statuses_that_the_services_know():
    assert set(TaskStatus.__args__) == set(ServersStatus)


@pytest.mark.parametrize("first", [lost(), refused(), httpx.Response(502, text="<html>")])
def test_a_call_that_is_lost_is_made_again(first: Answer):
    proxy = ScriptedProxy(first, lost(), shown())
    assert proxy.run(calls.task(proxy, TASK_ID)).status == "running"
    assert proxy.pauses == [0.1, 0.2]
    assert proxy.asked == [f"GET /tasks/{TASK_ID}"] * 3


def test_pauses_grow_to_five_seconds_until_the_patience_is_over():
    proxy = ScriptedProxy(lost())
    with pytest.raises(ProxyUnreachableError):
        proxy.run(calls.task(proxy, TASK_ID))
    assert proxy.pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert 20 < proxy.now <= 30


def test_the_time_for_which_a_proxy_was_there_costs_no_patience():
    proxy = ScriptedProxy(lost(), shown(), patience_seconds=1)
    proxy.seconds_to_answer = 20
    assert proxy.run(calls.task(proxy, TASK_ID)).id == TASK_ID


def test_without_patience_a_call_is_made_once():
    proxy = ScriptedProxy(lost(), patience_seconds=0)
    with pytest.raises(ProxyUnreachableError):
        proxy.run(calls.task(proxy, TASK_ID))
    assert (proxy.pauses, len(proxy.calls)) == ([], 1)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_proxy_is_asked_again_when_it_says_so(status: int):
    proxy = ScriptedProxy(problem(status, "overloaded", Retry_After="7"), shown())
    proxy.run(calls.task(proxy, TASK_ID))
    assert proxy.pauses == [7.0]


def test_who_is_to_wait_for_longer_than_the_patience_is_told_for_how_long():
    proxy = ScriptedProxy(problem(503, "overloaded", Retry_After="31"))
    with pytest.raises(BusyError) as raised:
        proxy.run(calls.task(proxy, TASK_ID))
    assert raised.value.retry_after_seconds == 31
    assert raised.value.problem.name == "overloaded"
    assert proxy.pauses == []


def test_a_balancer_that_stays_without_its_proxy_says_that_it_is_away():
    proxy = ScriptedProxy(httpx.Response(504, text="<html>"))
    with pytest.raises(ProxyUnreachableError, match="http://proxy answers 504"):
        proxy.run(calls.task(proxy, TASK_ID))


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7.0),
        ("Fri, 27 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 27 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-1", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(told: str, seconds: float | None):
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    response = httpx.Response(503, headers={"Retry-After": told})
    assert retry_after_seconds(response, now=now) == seconds


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, CallRefusedError),
        (401, CallerRefusedError),
        (403, CallerRefusedError),
        (404, NotFoundError),
        (409, ConflictError),
        (413, CallRefusedError),
        (422, CallRefusedError),
        (429, BusyError),
        (503, BusyError),
        (500, ProblemError),
    ],
)
def test_a_problem_is_an_error_by_its_status(status: int, kind: type[ProblemError]):
    proxy = ScriptedProxy(problem(status, "arguments-invalid"), patience_seconds=0)
    with pytest.raises(ProblemError, match=r"Detail\.") as raised:
        proxy.run(calls.task(proxy, TASK_ID))
    assert type(raised.value) is kind
    told = raised.value.problem
    assert (told.name, told.status, told.detail) == ("arguments-invalid", status, "Detail.")


def test_a_problem_has_the_faults_of_the_call():
    told = problem(422, "arguments-invalid")
    errors = [{"pointer": "/email", "detail": "no email"}, {"parameter": "page", "detail": "no"}]
    document = told.json() | {"errors": errors}
    headers = {"Content-Type": "application/problem+json"}
    proxy = ScriptedProxy(httpx.Response(422, json=document, headers=headers))
    with pytest.raises(CallRefusedError, match="/email: no email; page: no") as raised:
        proxy.run(calls.task(proxy, TASK_ID))
    assert [fault.place for fault in raised.value.problem.faults] == ["/email", "page"]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"hello": "world"}),
        httpx.Response(404, text="nothing"),
        httpx.Response(500, text="{", headers={"Content-Type": "application/problem+json"}),
        httpx.Response(302, headers={"Location": "/login"}),
    ],
)
def test_what_is_no_proxy_is_told_so(answer: httpx.Response):
    proxy = ScriptedProxy(answer)
    with pytest.raises(NotAProxyError, match="http://proxy does not look like an AsyncApiProxy"):
        proxy.run(calls.task(proxy, TASK_ID))


def test_what_may_change_something_is_repeated_only_where_it_was_not_sent():
    proxy = ScriptedProxy(refused(), httpx.Response(200, json={"name": "crm"}))
    proxy.run(calls.asked(proxy, "PATCH", "/limits/crm", json={"burst": 1}))
    assert len(proxy.calls) == 2
    proxy = ScriptedProxy(lost(), httpx.Response(200, json={}))
    with pytest.raises(ProxyUnreachableError):
        proxy.run(calls.asked(proxy, "PATCH", "/limits/crm", json={"burst": 1}))
    assert len(proxy.calls) == 1


def test_a_cancel_whose_answer_was_lost_is_done():
    proxy = ScriptedProxy(lost(), problem(409, "task-finished"), shown("cancelled"))
    assert proxy.run(calls.cancel(proxy, TASK_ID)).status == "cancelled"


@pytest.mark.parametrize(
    "answers",
    [
        (problem(409, "task-finished"), shown("cancelled")),
        (lost(), problem(409, "task-finished"), shown("succeeded")),
    ],
)
def test_what_had_ended_otherwise_cannot_be_cancelled(answers: tuple[Answer, ...]):
    proxy = ScriptedProxy(*answers)
    with pytest.raises(ConflictError):
        proxy.run(calls.cancel(proxy, TASK_ID))


def test_a_retry_whose_answer_was_lost_is_done():
    proxy = ScriptedProxy(lost(), problem(409, "task-not-finished"), shown("queued"))
    assert proxy.run(calls.retry(proxy, TASK_ID)).status == "queued"
    proxy = ScriptedProxy(problem(409, "task-not-finished"))
    with pytest.raises(ConflictError):
        proxy.run(calls.retry(proxy, TASK_ID))


def test_a_task_that_is_gone_was_forgotten_where_the_answer_to_that_was_lost():
    proxy = ScriptedProxy(lost(), problem(404, "task-not-found"))
    proxy.run(calls.forget(proxy, TASK_ID))
    proxy = ScriptedProxy(problem(404, "task-not-found"))
    with pytest.raises(NotFoundError):
        proxy.run(calls.forget(proxy, TASK_ID))


DELIVERY: dict[str, Any] = {
    "number": 1,
    "id": "01a2239d-eb94-7e63-90e5-2456893babb9",
    "taskId": "01a2239d-eb94-7e63-90e5-2456893babb9",
    "url": "https://erp.example.com/hooks?key=hunter2",
    "event": "succeeded",
    "status": "queued",
    "attempts": [{"number": 1, "outcome": "failed", "responseStatus": 503}],
    "createdAt": "2026-11-24T10:48:21.741300Z",
    "finishedAt": None,
    "nextAttemptAt": "2026-11-24T10:53:21.741300Z",
}


def test_a_task_has_its_deliveries():
    proxy = ScriptedProxy(lost(), httpx.Response(200, json={"deliveries": [DELIVERY]}))
    (found,) = proxy.run(calls.deliveries(proxy, TASK_ID))
    assert proxy.asked == [f"GET /tasks/{TASK_ID}/deliveries"] * 2
    assert (found.number, found.event, found.status) == (1, "succeeded", "queued")
    assert (found.id, found.url) == (DELIVERY["id"], DELIVERY["url"])
    assert found.task_id == DELIVERY["taskId"]
    assert [attempt["responseStatus"] for attempt in found.attempts] == [503]
    assert found.created_at == datetime(2026, 11, 24, 10, 48, 21, 741_300, tzinfo=UTC)
    assert (found.finished_at, found.next_attempt_at) == (
        None,
        datetime(2026, 11, 24, 10, 53, 21, 741_300, tzinfo=UTC),
    )
    assert repr(found) == "<Delivery 1 queued>"


def test_a_redelivery_whose_answer_was_lost_is_asked_for_again():
    proxy = ScriptedProxy(lost(), httpx.Response(202, json=DELIVERY | {"number": 3}))
    assert proxy.run(calls.redeliver(proxy, TASK_ID, 2)).number == 3
    assert proxy.asked == [f"POST /tasks/{TASK_ID}/deliveries/2/redeliver"] * 2
    proxy = ScriptedProxy(problem(404, "delivery-not-found"))
    with pytest.raises(NotFoundError):
        proxy.run(calls.redeliver(proxy, TASK_ID, "../7"))  # type: ignore[arg-type]
    assert proxy.asked == [f"POST /tasks/{TASK_ID}/deliveries/..%2F7/redeliver"]


def test_what_tells_of_no_deliveries_is_no_proxy():
    proxy = ScriptedProxy(shown())
    with pytest.raises(NotAProxyError, match="no list of deliveries"):
        proxy.run(calls.deliveries(proxy, TASK_ID))
    with pytest.raises(NotAProxyError, match="no delivery"):
        proxy.run(calls.redeliver(proxy, TASK_ID, 1))


def test_what_a_proxy_serves_is_asked_for_once_and_again_for_what_was_not_there():
    proxy = ScriptedProxy(openapi())
    for _ in range(2):
        assert proxy.run(calls.operation(proxy, "create-client")).path == "/clients"
    assert proxy.asked == ["GET /openapi.json"]
    with pytest.raises(OperationUnknownError, match="It has: create-client, scan") as raised:
        proxy.run(calls.operation(proxy, "create-clint"))
    assert raised.value.known == ("create-client", "scan")
    assert len(proxy.calls) == 2


def test_of_a_proxy_with_hundreds_of_operations_those_that_were_likely_meant_are_told():
    known = ["create-client", "create-clients", *(f"x{number}" for number in range(300))]
    error = OperationUnknownError("create-clint", url="http://p", known=known)
    told = "http://p has no operation 'create-clint'. It has: create-client, create-clients"
    assert str(error) == f"{told}, and 302 in all"


SEEN = TaskState(task(), etag='"1"')


def test_a_refresh_waits_for_another_version():
    proxy = ScriptedProxy(shown("succeeded", version=2))
    state = proxy.run(calls.refreshed(proxy, SEEN, wait_seconds=20))
    assert (state.status, state.etag) == ("succeeded", '"2"')
    assert proxy.headers() == {"Prefer": "wait=20", "If-None-Match": '"1"'}
    assert proxy.calls[0].answer_seconds == 50


@pytest.mark.parametrize(("applied", "pauses"), [("wait=20", []), ("", [3.0])])
def test_a_proxy_that_has_not_waited_is_not_asked_again_at_once(applied: str, pauses: list[float]):
    headers = {"Preference-Applied": applied, "Retry-After": "3"}
    proxy = ScriptedProxy(httpx.Response(304, headers=headers))
    assert proxy.run(calls.refreshed(proxy, SEEN, wait_seconds=20)) is SEEN
    assert proxy.pauses == pauses


def test_a_task_id_cannot_leave_its_path():
    proxy = ScriptedProxy(shown())
    proxy.run(calls.task(proxy, "../ping?x"))
    assert proxy.asked == ["GET /tasks/..%2Fping%3Fx"]


@pytest.mark.parametrize(
    ("url", "shown_as"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("https://ann:hunter2@proxy/api", "https://proxy/api"),
    ],
)
def test_a_url_may_lack_its_scheme_and_never_shows_its_password(url: str, shown_as: str):
    assert address(url, token=None).shown == shown_as


@pytest.mark.parametrize("url", ["ftp://proxy", "http://", "http://proxy:port", ""])
def test_a_url_that_is_none_is_refused(url: str):
    with pytest.raises(UrlInvalidError):
        address(url, token=None)


def test_a_path_in_the_url_stays_before_ours():
    target = address("http://proxy/api/", token=None).target("/tasks?a=%2F")
    assert str(target) == "http://proxy/api/tasks?a=%2F"


def test_a_token_takes_the_place_of_a_user_in_the_url():
    found = address("http://ann:hunter2@proxy", token=" aap_1 ")
    assert (found.headers, found.url.userinfo) == ({"Authorization": "Bearer aap_1"}, b"")
    for token in ("", " ", "ä", "a\nb"):
        with pytest.raises(TokenUnusableError):
            address("http://proxy", token=token)


@pytest.mark.parametrize(
    ("error", "was_sent"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.ReadTimeout("slow"), True),
        (httpx.ReadError(""), True),
        (httpx.RemoteProtocolError("gone"), True),
        (httpx.DecodingError("no gzip"), True),
    ],
)
def test_it_is_known_whether_the_proxy_may_have_got_a_call(error: Any, was_sent: bool):
    told = unanswered(error, url="http://proxy")
    assert isinstance(told, ProxyUnreachableError)
    assert told.was_sent is was_sent
    assert "http://proxy" in str(told)


def test_an_error_is_known_to_be_of_a_request():
    ours, other = (httpx.Request("GET", "http://proxy") for _ in range(2))
    error = httpx.ReadError("gone", request=ours)
    assert is_of(error, ours)
    assert not is_of(error, other)
    assert not is_of(httpx.ReadError("gone"), ours)


def test_a_call_that_cannot_be_sent_is_not_one_that_is_lost():
    told = unanswered(httpx.LocalProtocolError("Illegal header value"), url="http://proxy")
    assert isinstance(told, CallInvalidError)


def test_what_a_state_tells():
    held = task("queued", heldBy={"kind": "limit", "name": "crm"}, attempt=2, countedAttempts=1)
    more = {"maxAttempts": 5, "nextAttemptAt": "2026-11-24T10:48:30Z", "cancelRequested": True}
    state = TaskState(held | more)
    assert state.held_by is not None
    assert (state.held_by.kind, state.held_by.name) == ("limit", "crm")
    assert state.next_attempt_at == datetime(2026, 11, 24, 10, 48, 30, tzinfo=UTC)
    assert (state.attempt, state.counted_attempts, state.max_attempts) == (2, 1, 5)
    assert state.is_cancel_requested
    assert repr(state) == f"<TaskState {TASK_ID} queued>"
    ended = state.ended("failed")
    assert (ended.status, ended.is_done, ended.attempt) == ("failed", True, 2)
