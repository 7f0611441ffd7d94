"""Following a task's events over connections that end."""

import json

import httpx
import pytest

from asyncapiproxy import BusyError, NotAProxyError, NotFoundError, ProxyUnreachableError
from asyncapiproxy.client.following import Following
from asynctestkit.scripted_proxy import TASK_ID, ScriptedProxy, lost, problem, shown, task

EVENTS = httpx.Response(200, headers={"Content-Type": "text/event-stream; charset=utf-8"})


def following(patience_seconds: float = 30) -> Following:
    proxy = ScriptedProxy(shown(), patience_seconds=patience_seconds)
    return Following(proxy, TASK_ID)


def saw(it: Following, version: int, status: str = "running") -> None:
    state = it.saw(str(version), json.dumps(task(status)))
    assert state is not None
    assert (state.status, state.etag) == (status, f'"{version}"')


def last_event_id(it: Following) -> bytes | None:
    return dict(it.call().headers).get("Last-Event-ID")


def asked(response: httpx.Response) -> httpx.Response:
    response.request = httpx.Request("GET", f"http://proxy/tasks/{TASK_ID}/events")
    return response


def test_a_connection_that_ends_goes_on_where_it_was():
    it = following()
    assert last_event_id(it) is None
    assert it.opens(EVENTS)
    saw(it, 2)
    assert it.saw("2", "") is None
    it.ended()
    assert (it.is_over, it.pause_seconds, last_event_id(it)) == (False, 0.1, b"2")
    saw(it, 3, "succeeded")
    assert it.is_over


def test_nothing_more_to_follow_ends_it():
    it = following()
    assert not it.opens(httpx.Response(204))
    assert it.is_over


def test_who_is_away_is_waited_for_as_long_as_the_patience_lasts():
    it = following(patience_seconds=1)
    for pause in (0.1, 0.2, 0.4):
        it.lost(lost())
        assert it.pause_seconds == pause
    saw(it, 2)
    it.lost(lost())
    assert it.pause_seconds == 0.1
    it.proxy.monotonic = lambda: 100.0
    with pytest.raises(ProxyUnreachableError):
        it.lost(lost())


def test_who_is_busy_is_asked_again_when_it_says_so():
    it = following(patience_seconds=10)
    assert not it.opens(asked(problem(503, "overloaded", Retry_After="7")))
    assert it.pause_seconds == 7
    with pytest.raises(BusyError):
        it.opens(asked(problem(503, "overloaded", Retry_After="11")))


def test_what_brings_no_events_is_told():
    with pytest.raises(NotFoundError):
        following().opens(asked(problem(404, "task-not-found")))
    with pytest.raises(NotAProxyError):
        following().opens(asked(httpx.Response(200, text="<html>")))
    with pytest.raises(NotAProxyError):
        following().saw("1", "{")
