"""What an attempt leaves behind for the task's row and for its caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynctasks.response import Problem, Response
    from asynctasks.task import TaskStatus
    from asynctasks.upstream_job import UpstreamJob


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended and where that takes the task."""

    status: TaskStatus
    """A final status, or `queued` where another attempt follows."""
    response: Response | None = None
    error: Problem | None = None
    retry_after_seconds: float | None = None
    """With `queued`: how long until the next attempt."""
    is_given_back: bool = False
    """With `queued`: its executor had to leave, and the attempt does not count as a failure."""
    attempts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The task's ended attempts, this one the last."""
    upstream_job: UpstreamJob | None = None
    """The job of this attempt. With `queued` the attempt goes on: the job is polled again."""

    @property
    def goes_on(self) -> bool:
        """Whether the attempt has not ended, and only waits for its job's next poll."""
        return self.upstream_job is not None and not self.status.is_final
