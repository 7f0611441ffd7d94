"""Following a task's changes, over connections that end (HTML §9.2)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson

from asyncapiproxy.client.answers import not_a_proxy, raise_problem
from asyncapiproxy.client.calls import task_path
from asyncapiproxy.client.errors import NotAProxyError
from asyncapiproxy.client.repeating import Patience, is_passing, retry_after_seconds
from asyncapiproxy.client.steps import Call
from asyncapiproxy.client.task_state import TaskState
from asynctasks.json_values import read_json

if TYPE_CHECKING:
    import httpx

    from asyncapiproxy.client.calls import Proxy
    from asyncapiproxy.client.errors import ProxyUnreachableError

SILENCE_SECONDS = 45.0
"""The proxy sends something every 15 s: after three times as long the connection is dead."""


@dataclass(slots=True)
class Following:
    """What is known of a task that is followed, and what to do when a connection has ended."""

    proxy: Proxy
    task_id: str
    is_over: bool = False
    pause_seconds: float = 0
    """Before the next connection."""
    _last_id: str | None = None
    _tries: int = 0
    _away_since: float | None = None

    def call(self) -> Call:
        """The call that goes on where the last one has ended."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        return Call(
            method="GET",
            path=task_path(self.task_id, "events"),
            answer_seconds=max(SILENCE_SECONDS, self.proxy.answer_seconds),
            headers=tuple((name, value.encode()) for name, value in headers.items()),
            is_streamed=True,
        )

    def opens(self, response: httpx.Response) -> bool:
        """Whether events come with this answer; raises ProblemError, NotAProxyError."""
        if response.status_code == HTTPStatus.NO_CONTENT:
            self.is_over = True
            return False
        if is_passing(response):
            pause = self._pause(asked=retry_after_seconds(response))
            if pause is not None:
                return False
        raise_problem(response)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise not_a_proxy(response, "its answer are no events")
        return True

    def saw(self, event_id: str, data: str) -> TaskState | None:
        """The task of an event; None for what only keeps the connection open."""
        if not data:
            return None
        try:
            state = TaskState(read_json(data), data, f'"{event_id}"')
        except orjson.JSONDecodeError as error:
            raise NotAProxyError(f"{self.proxy.url} tells what is no task.") from error
        self._last_id = event_id
        self._tries, self._away_since = 0, None
        self.is_over = state.is_done
        return state

    def ended(self) -> None:
        """The connection has ended, as it does where a proxy stops."""
        if not self.is_over:
            self._pause()

    def lost(self, error: ProxyUnreachableError) -> None:
        """There was none, or it broke; raises the error when the patience is over."""
        if self._pause() is None:
            raise error

    def _pause(self, *, asked: float | None = None) -> float | None:
        now = self.proxy.monotonic()
        self._tries += 1
        self._away_since = now if self._away_since is None else self._away_since
        pause = Patience(self.proxy.patience_seconds).pause_seconds(
            tries=self._tries,
            waited=now - self._away_since,
            jitter=self.proxy.jitter(),
            asked=asked,
        )
        self.pause_seconds = 1.0 if pause is None else pause
        return pause
