"""What an executor writes of tasks and reads, by SQLAlchemy: all of it on SQLite.

On PostgreSQL the claim and the end have words of their own, see `hot_claims` and `hot_statements`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, Integer, String, bindparam, exists, func, not_, or_, select, update
from sqlalchemy import case as sql_case

from asynctasks.instants import seconds_from_now, seconds_from_this_moment
from asynctasks.statements.claimed_task import ClaimedTask
from asynctasks.statements.conditions import (
    ANSWER_COLUMNS,
    HAS_NO_MESSAGE,
    IS_DUE_POLL,
    NOW,
    tasks,
)
from asynctasks.statements.id_list import is_one_of
from asynctasks.task import TaskStatus, may_move

_TO_RUNNING = [status for status in TaskStatus if may_move(status, TaskStatus.RUNNING)]

_OURS_NOW = (
    tasks.c.queue == bindparam("own_queue"),
    is_one_of(tasks.c.operation, "operations"),
    or_(
        tasks.c.revision.is_(None),
        is_one_of(tasks.c.revision, "revisions"),
        # Whoever knows it has not come: the operation as it is known here has to do.
        tasks.c.created_at <= seconds_from_now(bindparam("revision_wait_seconds")),
    ),
    or_(tasks.c.run_after.is_(None), tasks.c.run_after <= NOW),
    or_(tasks.c.deadline.is_(None), tasks.c.deadline > NOW),
)
_CLAIMABLE = (
    select(tasks.c.id)
    .where(
        is_one_of(tasks.c.id),
        tasks.c.status.in_(_TO_RUNNING),
        or_(tasks.c.upstream_job.is_not(None), not_(is_one_of(tasks.c.operation, "held"))),
        or_(
            tasks.c.upstream_job.is_not(None),
            tasks.c.published,
            not_(is_one_of(tasks.c.operation, "limited")),
        ),
        *_OURS_NOW,
    )
    # In one order everywhere, so that executors with equal messages never wait in a circle.
    .order_by(tasks.c.id)
    .with_for_update()
)
_DUE_POLLS = (
    select(tasks.c.id)
    .where(IS_DUE_POLL, *_OURS_NOW)
    .order_by(tasks.c.next_publish_at)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)


def _unless_polled(value: Any, polled: Any) -> Any:
    return sql_case((tasks.c.upstream_job.is_(None), value), else_=polled)


def _claim(which: Any) -> Any:
    return (
        update(tasks)
        .where(tasks.c.id.in_(which))
        .values(
            status=TaskStatus.RUNNING,
            # A poll goes on with the attempt whose call has started the job, and nobody sees it.
            version=_unless_polled(tasks.c.version + 1, tasks.c.version),
            attempt=_unless_polled(tasks.c.attempt + 1, tasks.c.attempt),
            executor=bindparam("executor"),
            lease_until=seconds_from_this_moment(bindparam("lease_seconds")),
            attempt_started_at=_unless_polled(
                seconds_from_this_moment(0.0), tasks.c.attempt_started_at
            ),
            started_at=sql_case(
                (tasks.c.started_at.is_(None), seconds_from_this_moment(0.0)),
                else_=tasks.c.started_at,
            ),
            published=False,
            next_publish_at=None,
            run_after=None,
            # They are of the attempt before.
            progress=_unless_polled(None, tasks.c.progress),
            message=_unless_polled(None, tasks.c.message),
        )
        .returning(*(tasks.c[name] for name in ClaimedTask.__dataclass_fields__))
    )


CLAIM = _claim(_CLAIMABLE)
TAKE_POLLS = _claim(_DUE_POLLS)
_HELD = (
    is_one_of(tasks.c.id),
    tasks.c.status == TaskStatus.RUNNING,
    tasks.c.executor == bindparam("holder", type_=String),
)
LOOK = select(tasks.c.id, tasks.c.attempt, tasks.c.cancel_requested).where(*_HELD)
OURS = LOOK.order_by(tasks.c.id).with_for_update()
RENEW = (
    update(tasks)
    .where(tasks.c.id.in_(select(tasks.c.id).where(*_HELD).order_by(tasks.c.id).with_for_update()))
    .values(lease_until=seconds_from_this_moment(bindparam("lease_seconds", type_=Float)))
    .returning(tasks.c.id, tasks.c.attempt, tasks.c.cancel_requested)
)


def _new(name: str) -> Any:
    return bindparam(f"new_{name}", type_=tasks.c[name].type)


REPORT = (
    update(tasks)
    .where(
        tasks.c.id == bindparam("task_id"),
        tasks.c.attempt == bindparam("of_attempt"),
        tasks.c.status == TaskStatus.RUNNING,
        tasks.c.executor == bindparam("holder", type_=String),
    )
    .values(version=tasks.c.version + 1, progress=_new("progress"), message=_new("message"))
)
IS_WAITED_FOR = select(
    exists().where(
        HAS_NO_MESSAGE,
        is_one_of(tasks.c.operation, "operations"),
        is_one_of(tasks.c.queue, "queues"),
    )
)
_RETRY_AT = seconds_from_this_moment(bindparam("new_retry_in_seconds"))
WRITE_END = (
    update(tasks)
    .where(tasks.c.id == _new("id"), tasks.c.attempt == _new("attempt"))
    .values(
        version=tasks.c.version + 1,
        drains=tasks.c.drains + bindparam("new_given_back", type_=Integer),
        lease_until=None,
        finished_at=seconds_from_this_moment(bindparam("new_finished_in_seconds")),
        run_after=_RETRY_AT,
        next_publish_at=_RETRY_AT,
        upstream_job=func.coalesce(_new("upstream_job"), tasks.c.upstream_job),
        progress=func.coalesce(_new("progress"), tasks.c.progress),
        **{name: _new(name) for name in ("status", "attempts", *ANSWER_COLUMNS)},
    )
)
