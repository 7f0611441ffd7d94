"""Following a task: what is asked of the proxy, and how long."""

import json
from collections.abc import Callable

import httpx
import pytest

from asyncapiproxy.task import following
from asyncapiproxy.task.following import follow
from asyncapiproxy.task.proxy_client import (
    NoProxyError,
    ProblemError,
    ProxyClient,
    ProxyUnreachableError,
    SeenTask,
)

Answer = httpx.Response | Exception


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(following, "time", clock)
    return clock


class Script:
    """A proxy that gives these answers, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def client(script: Callable[[httpx.Request], httpx.Response]) -> ProxyClient:
    return ProxyClient("http://proxy", transport=httpx.MockTransport(script))


def task(status: str, version: int, **headers: str) -> httpx.Response:
    document = {"id": "t1", "status": status, "done": status == "succeeded"}
    return httpx.Response(200, json=document, headers={"ETag": f'"{version}"', **headers})


QUEUED = SeenTask({"id": "t1", "status": "queued", "done": False}, "", '"1"')


def test_each_version_is_seen_once_until_the_task_is_done(clock: Clock):
    script = Script(
        task("running", 2, **{"Retry-After": "3"}), httpx.Response(304), task("succeeded", 3)
    )
    seen = [it.document["status"] for it in follow(client(script), QUEUED)]
    assert seen == ["queued", "running", "succeeded"]
    assert [r.headers["if-none-match"] for r in script.requests] == ['"1"', '"2"', '"2"']
    assert clock.sleeps == [3.0, 1.0]


def test_a_proxy_that_waits_is_asked_again_at_once(clock: Clock):
    script = Script(
        httpx.Response(304, headers={"Preference-Applied": "wait=20"}), task("succeeded", 2)
    )
    list(follow(client(script), QUEUED))
    assert [r.headers["prefer"] for r in script.requests] == ["wait=20", "wait=20"]
    assert sum(clock.sleeps) == 0


def test_no_more_is_waited_than_asked_for(clock: Clock):
    script = Script(httpx.Response(304, headers={"Retry-After": "2"}))
    assert [it.document["status"] for it in follow(client(script), QUEUED, seconds=5)] == ["queued"]
    assert clock.sleeps == [2.0, 2.0, 1.0]


def test_a_proxy_that_is_away_for_a_moment_is_waited_for(clock: Clock):
    away = httpx.Response(
        503, json={"status": 503}, headers={"Content-Type": "application/problem+json"}
    )
    script = Script(httpx.ConnectError("refused"), away, task("succeeded", 2))
    assert len(list(follow(client(script), QUEUED))) == 2
    assert clock.sleeps == [1.0, 1.0]


def test_a_proxy_that_stays_away_is_given_up(clock: Clock):
    with pytest.raises(ProxyUnreachableError, match="asyncapiproxy up"):
        list(follow(client(Script(httpx.ConnectError("refused"))), QUEUED))
    assert 30 <= clock.now <= 32


def test_a_task_that_is_forgotten_meanwhile_ends_it(clock: Clock):
    gone = httpx.Response(
        404, json={"status": 404}, headers={"Content-Type": "application/problem+json"}
    )
    with pytest.raises(ProblemError):
        list(follow(client(Script(gone)), QUEUED))
    assert clock.sleeps == []


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
    with pytest.raises(NoProxyError, match="http://proxy does not look like an AsyncApiProxy"):
        client(Script(answer)).task("t1")


def test_a_task_id_cannot_leave_its_path():
    script = Script(task("succeeded", 1))
    client(script).task("../ping?x")
    assert script.requests[0].url.raw_path == b"/tasks/..%2Fping%3Fx"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("https://ann:hunter2@proxy/api", "https://proxy/api"),
    ],
)
def test_a_url_may_lack_its_scheme_and_never_shows_its_password(url: str, shown: str):
    assert ProxyClient(url).url == shown


@pytest.mark.parametrize("url", ["ftp://proxy", "http://", "http://proxy:port", ""])
def test_a_url_that_is_none_is_refused(url: str):
    with pytest.raises(ProxyUnreachableError, match="--url"):
        ProxyClient(url)


def test_a_path_in_the_url_stays_before_ours():
    script = Script(task("succeeded", 1))
    proxy = ProxyClient("http://proxy/api/", transport=httpx.MockTransport(script))
    assert json.loads(proxy.task("t1").text)["id"] == "t1"
    assert script.requests[0].url.path == "/api/tasks/t1"
