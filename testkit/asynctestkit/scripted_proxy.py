"""Answers the client library's steps from a script, in a time that passes only where they pause."""

from collections.abc import Sequence
from typing import Any, TypeVar

import httpx

from asyncapiproxy.client.calls import Proxy
from asyncapiproxy.client.errors import ProxyUnreachableError
from asyncapiproxy.client.steps import Call, Pause, Steps

T = TypeVar("T")
URL = "http://proxy"
TASK_ID = "01a20d2b-c3ed-76f0-8622-758cfbed0d1d"
PROBLEMS = "https://asyncapiproxy.dev/problems/"
OPENAPI: dict[str, Any] = {
    "paths": {
        "/clients": {
            "post": {
                "tags": ["operations"],
                "operationId": "create-client",
                "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
            }
        },
        "/scans": {
            "post": {
                "tags": ["operations"],
                "operationId": "scan",
                "requestBody": {"content": {"application/pdf": {}}},
            }
        },
    }
}
Answer = httpx.Response | ProxyUnreachableError


def lost() -> ProxyUnreachableError:
    """The connection ended before the answer."""
    return ProxyUnreachableError("lost", url=URL)


def refused() -> ProxyUnreachableError:
    """There was no connection."""
    return ProxyUnreachableError("refused", url=URL, was_sent=False)


def openapi() -> httpx.Response:
    return httpx.Response(200, json=OPENAPI)


def task(status: str = "running", **more: Any) -> dict[str, Any]:
    done = status not in {"queued", "running"}
    return {
        "id": TASK_ID,
        "operation": "create-client",
        "status": status,
        "done": done,
        "createdAt": "2026-11-24T10:48:21.741300Z",
        **more,
    }


def shown(status: str = "running", *, version: int = 1, **headers: str) -> httpx.Response:
    """The task document."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, json=task(status), headers={"ETag": f'"{version}"', **named})


def accepted(status: str = "queued") -> httpx.Response:
    headers = {"Task-Id": TASK_ID, "Location": f"/tasks/{TASK_ID}", "Retry-After": "1"}
    return httpx.Response(202, json=task(status), headers=headers)


def answer(status: int = 201, **headers: str) -> httpx.Response:
    """The upstream's."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"id": 7}, headers={"Task-Id": TASK_ID, **named})


def problem(
    status: int, name: str = "about:blank", *, of_task: bool = False, **headers: str
) -> httpx.Response:
    """Ours, of the call or of the task."""
    kind = name if name == "about:blank" else PROBLEMS + name
    told: dict[str, Any] = {"type": kind, "title": "Title", "status": status, "detail": "Detail."}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["Content-Type"] = "application/problem+json"
    if of_task:
        told["taskId"] = named["Task-Id"] = TASK_ID
    return httpx.Response(status, json=told, headers=named)


class ScriptedProxy(Proxy):
    """Gives these answers one after the other, and remembers what it was asked."""

    def __init__(self, *answers: Answer, patience_seconds: float = 30) -> None:
        self.now = 0.0
        self.answers = list(answers)
        self.seconds_to_answer = 0.0
        self.calls: list[Call] = []
        self.pauses: list[float] = []
        super().__init__(
            URL,
            answer_seconds=30,
            patience_seconds=patience_seconds,
            monotonic=lambda: self.now,
            jitter=lambda: 0.0,
        )

    def run(self, steps: Steps[T]) -> T:
        """What the steps come to."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    self.now += step.seconds
                    step = steps.send(None)
                else:
                    step = self._answered(steps, step)
        except StopIteration as end:
            return end.value

    @property
    def asked(self) -> Sequence[str]:
        """What it was asked, in short."""
        return [f"{call.method} {call.path}" for call in self.calls]

    def headers(self, number: int = -1) -> dict[str, str]:
        """The headers of a call."""
        return {name: value.decode() for name, value in self.calls[number].headers}

    def _answered(self, steps: Steps[T], call: Call) -> Call | Pause:
        self.calls.append(call)
        self.now += self.seconds_to_answer
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, Exception):
            return steps.throw(given)
        given.request = httpx.Request(call.method, URL + call.path)
        return steps.send(given)
