"""What a task came to: the upstream's response, or a problem that says why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from asynctasks.task import TaskStatus


@dataclass(frozen=True, slots=True)
class Response:
    """The upstream's answer, as it will be given to the caller."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a task has no answer of its upstream (RFC 9457); `type` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str

    def to_json(self) -> dict[str, Any]:
        """The problem's own members; who renders it adds `instance`."""
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended and where that takes the task."""

    status: TaskStatus
    """A final status, or `queued` where another attempt follows."""
    response: Response | None = None
    error: Problem | None = None
    retry_after_seconds: float | None = None
    """With `queued`: how long until the next attempt."""
    attempts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The task's ended attempts, this one the last."""
