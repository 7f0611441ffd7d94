"""What an attempt's turn says of its upstream's job, beside the task's own end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, bindparam, update

from asynctasks.instants import seconds_from_this_moment
from asynctasks.statements.conditions import tasks
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from uuid import UUID

    from asynctasks.outcome import Outcome
    from asynctasks.upstream_job import UpstreamJob


def job_step(
    task_id: UUID, attempt: int, outcome: Outcome, *, before: UpstreamJob | None
) -> dict[str, Any]:
    """What is written of a job that goes on; `GO_ON` of the hot statements, or `WRITE_STEP`."""
    job = outcome.upstream_job
    assert job is not None
    return {
        "id": task_id,
        "attempt": attempt,
        **job_known(outcome),
        # What callers do not see is no change of the task.
        "changes": int(not job.looks_like(before)),
        "poll_in_seconds": outcome.retry_after_seconds,
    }


def job_known(outcome: Outcome) -> dict[str, Any]:
    """The columns of what is known of a job in the end; None where there was none."""
    job = outcome.upstream_job
    return {"upstream_job": job and job.to_json(), "progress": job and job.progress}


def _new(name: str) -> Any:
    return bindparam(f"new_{name}", type_=tasks.c[name].type)


_POLL_AT = seconds_from_this_moment(bindparam("new_poll_in_seconds"))
WRITE_STEP = (
    update(tasks)
    .where(tasks.c.id == _new("id"), tasks.c.attempt == _new("attempt"))
    .values(
        version=tasks.c.version + bindparam("new_changes", type_=Integer),
        status=TaskStatus.QUEUED,
        lease_until=None,
        run_after=_POLL_AT,
        next_publish_at=_POLL_AT,
        upstream_job=_new("upstream_job"),
        progress=_new("progress"),
    )
)
