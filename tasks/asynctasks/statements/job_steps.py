"""What an attempt's turn says of its upstream's job, beside the task's own end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, bindparam, update

from asynctasks.instants import seconds_from_this_moment
from asynctasks.statements.conditions import tasks
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from asynctasks.upstream_job import UpstreamJob


@dataclass(frozen=True, slots=True)
class JobStep:
    """What is known of a task's job after an attempt's turn, and what was before."""

    task_id: UUID
    before: UpstreamJob | None
    after: UpstreamJob
    poll_in_seconds: float | None
    """None where it has ended."""


def job_statements(steps: Sequence[JobStep]) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """What writes them, and the values: of jobs that go on, and of those that have ended."""
    going_on = [
        {
            **_values(step),
            "poll_in_seconds": step.poll_in_seconds,
            # What callers do not see is no change of the task.
            "changes": int(not step.after.looks_like(step.before)),
        }
        for step in steps
        if step.poll_in_seconds is not None
    ]
    ended = [_values(step) for step in steps if step.poll_in_seconds is None]
    if going_on:
        yield _GO_ON, going_on
    if ended:
        yield _KEEP, ended


def _values(step: JobStep) -> dict[str, Any]:
    return {
        "task_id": step.task_id,
        "new_upstream_job": step.after.to_json(),
        "new_progress": step.after.progress,
    }


def _new(name: str) -> Any:
    return bindparam(f"new_{name}", type_=tasks.c[name].type)


_GO_ON = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id"))
    .values(
        version=tasks.c.version + bindparam("changes", type_=Integer),
        status=TaskStatus.QUEUED,
        lease_until=None,
        run_after=seconds_from_this_moment(bindparam("poll_in_seconds")),
        next_publish_at=seconds_from_this_moment(bindparam("poll_in_seconds")),
        upstream_job=_new("upstream_job"),
        progress=_new("progress"),
    )
)
_KEEP = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id"))
    .values(upstream_job=_new("upstream_job"), progress=_new("progress"))
)
