"""What the callers did and were told: every request and its answer, with times."""

import hashlib
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

TYPE_PREFIX = "https://asyncapiproxy.dev/problems/"
KEPT_BYTES = 600
OUR_OWN_REFUSALS = {"database-unavailable", "overloaded"}
"""Problems of an answer that says nothing of the task, if there is one."""


@dataclass
class Entry:
    """One request, and what came of it."""

    kind: str
    action: str
    """`submit`, `repeat`, `cancel`, `retry`, `look`, `reuse` (a key with other arguments) or
    `leave` (the caller closes the connection)."""
    proxy: str
    window_seconds: float
    email: str = ""
    key: str | None = None
    asked_task: str | None = None
    """The task that a cancel, retry or look is about."""
    sent: dict[str, str] = field(default_factory=dict[str, str])
    started: float = 0.0
    ended: float = 0.0
    status: int | None = None
    """None: no answer."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    digest: str = ""
    start_of_body: bytes = b""
    failure: str = ""
    """Why there is no answer."""

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def task_id(self) -> str | None:
        """The task that the answer names, else the one that was asked about."""
        return self.headers.get("task-id") or self.asked_task

    @property
    def problem(self) -> str | None:
        """The type of a problem that was answered."""
        if not self.headers.get("content-type", "").startswith("application/problem+json"):
            return None
        try:
            document: Any = orjson.loads(self.start_of_body)
        except orjson.JSONDecodeError:
            return None
        return str(document.get("type", "")).removeprefix(TYPE_PREFIX)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers = status, headers
        self.digest = digest(body)
        self.start_of_body = body[: max(KEPT_BYTES, 0)] if status < 400 else body[:4_000]

    def line(self) -> str:
        clock = time.strftime("%H:%M:%S", time.gmtime(self.started))
        told = (
            self.failure or f"{self.status} {self.problem or ''} version={self.headers.get('etag')}"
        )
        return (
            f"{clock}.{int(self.started % 1 * 1000):03d} {self.kind} {self.action} at {self.proxy} "
            f"{self.email} {self.sent} after {self.seconds:.2f} s: {told} task={self.task_id}"
        )


class Ledger:
    """All entries, in the order of their start."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    @contextmanager
    def noting(self, entry: Entry) -> Generator[Entry]:
        """Times the request made in the block."""
        entry.started = time.time()
        self.entries.append(entry)
        try:
            yield entry
        finally:
            entry.ended = time.time()

    def about(self, task_id: str, email: str) -> list[Entry]:
        return [e for e in self.entries if e.task_id == task_id or (email and e.email == email)]


def digest(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()  # as PostgreSQL's md5(bytea)
