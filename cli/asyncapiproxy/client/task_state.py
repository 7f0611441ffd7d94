"""A task as the proxy shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from asyncapiproxy.client.problem import Problem, problem_of
from asynctasks.json_values import as_object

Document = dict[str, Any]
TaskStatus = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
View = Literal["summary", "full"]
"""How much of each task a list tells: a summary no arguments, and of a response no body."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What lets a task not start yet."""

    kind: str
    """`limit`, `queue` or `operation`."""
    name: str


@dataclass(frozen=True, slots=True, repr=False)
class TaskState:
    """Where a task stands, as of the moment when the proxy said so.

    An answer that came in time tells id, operation and status alone, and a list's summary no
    arguments: the rest is None until the task is asked for.
    """

    document: Document
    """The whole of it, as JSON."""
    text: str = ""
    """The document as it came; empty where it came within another."""
    etag: str | None = None

    @property
    def id(self) -> str:
        """The task's id."""
        return self.document["id"]

    @property
    def operation(self) -> str:
        """The name of its operation."""
        return self.document["operation"]

    @property
    def status(self) -> TaskStatus:
        """Where it stands."""
        return self.document["status"]

    @property
    def is_done(self) -> bool:
        """Whether it will not change by itself any more."""
        return self.document["done"]

    @property
    def attempt(self) -> int | None:
        """How often it was tried."""
        return self.document.get("attempt")

    @property
    def counted_attempts(self) -> int | None:
        """How many of these count in `max_attempts`: none that was cut short or given back."""
        return self.document.get("countedAttempts")

    @property
    def max_attempts(self) -> int | None:
        """How often it is tried at most."""
        return self.document.get("maxAttempts")

    @property
    def priority(self) -> int | None:
        """0 to 9, the highest first."""
        return self.document.get("priority")

    @property
    def is_cancel_requested(self) -> bool:
        """Whether its executor was asked to end it."""
        return bool(self.document.get("cancelRequested"))

    @property
    def progress(self) -> float | None:
        """Per cent, where a handler or the upstream tells."""
        return self.document.get("progress")

    @property
    def message(self) -> str | None:
        """What a handler or the upstream tells, or why it is held."""
        return self.document.get("message")

    @property
    def held_by(self) -> Holder | None:
        """What lets it not start yet."""
        held = as_object(self.document.get("heldBy"))
        return None if held is None else Holder(held["kind"], held["name"])

    @property
    def trace_id(self) -> str | None:
        """Of the trace that it is part of (W3C Trace Context), where it is part of one."""
        return self.document.get("traceId")

    @property
    def labels(self) -> dict[str, str] | None:
        """The labels it was submitted with, or its operation's."""
        return self.document.get("labels")

    @property
    def batch(self) -> str | None:
        """The name of the group that it was submitted in."""
        return self.document.get("batch")

    @property
    def arguments(self) -> Document | None:
        """What it was submitted with, but for what is `writeOnly`."""
        return self.document.get("arguments")

    @property
    def error(self) -> Problem | None:
        """Why it has ended without an answer."""
        error = as_object(self.document.get("error"))
        return None if error is None else problem_of(error)

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted."""
        return instant_in(self.document, "createdAt")

    @property
    def started_at(self) -> datetime | None:
        """When its last attempt began."""
        return instant_in(self.document, "startedAt")

    @property
    def finished_at(self) -> datetime | None:
        """When it ended."""
        return instant_in(self.document, "finishedAt")

    @property
    def deadline(self) -> datetime | None:
        """By when it has to finish, or expires."""
        return instant_in(self.document, "deadline")

    @property
    def next_attempt_at(self) -> datetime | None:
        """When a backoff or a delay is over."""
        return instant_in(self.document, "nextAttemptAt")

    def __repr__(self) -> str:
        """Short, and without what callers have sent."""
        return f"<TaskState {self.id} {self.status}>"

    def ended(self, status: TaskStatus) -> TaskState:
        """The same task once it has ended so."""
        document = {**self.document, "status": status, "done": True}
        return replace(self, document=document, text="", etag=None)


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of tasks, the newest first."""

    tasks: tuple[TaskState, ...]
    next_token: str | None
    """What the next page is asked for by; None after the last."""
    text: str
    """The document as it came."""


def instant_in(document: Document, name: str) -> datetime | None:
    """The instant that a document has by this name, if any."""
    told = document.get(name)
    return None if told is None else datetime.fromisoformat(told)
