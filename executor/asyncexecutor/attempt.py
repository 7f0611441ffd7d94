"""One attempt at a task: run it, and judge how it went."""

from __future__ import annotations

import random
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from asyncexecutor.attempt_bodies import ResponsePlace, failed, request_body
from asyncexecutor.failures import (
    ArgumentsUnreadableError,
    AttemptFailedError,
    UpstreamFailedError,
    UpstreamJobFailedError,
)
from asyncexecutor.retry import Retry, next_attempt
from asyncexecutor.runner import Answer, Attempt, JobGoesOn, JobRunner
from asynctasks.attempt_history import with_ended_attempt
from asynctasks.errors import BlobLostError, SealedArgumentsError, UnavailableError
from asynctasks.instants import utc_now
from asynctasks.operations.arguments import join
from asynctasks.outcome import Outcome
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from datetime import datetime

    from asyncexecutor.breakers import Breakers
    from asyncexecutor.runner import Runnable, Runner
    from asynctasks.blobs.blobs import Blobs
    from asynctasks.operations.retry_policy import RetryPolicy
    from asynctasks.operations.sealing import Sealing
    from asynctasks.statements.claimed_task import ClaimedTask
    from asynctasks.upstream_job import UpstreamJob

log = structlog.get_logger(__name__)


async def run_attempt(
    task: ClaimedTask, runnable: Runnable, sealing: Sealing, blobs: Blobs, breakers: Breakers
) -> Outcome:
    """Run the task once and say where that takes it."""
    result = await _result(task, runnable, sealing, blobs)
    resting = await breakers.note(task, runnable.operation, result)
    if isinstance(result, JobGoesOn):
        return _going_on(task, result.job, after_seconds=result.after_seconds)
    if resting is not None and task.max_attempts > 1:
        policy = runnable.operation.retry
        return _given_back(task, policy, result, limit=resting, finished_at=utc_now())
    return judge(
        task,
        runnable.operation.retry,
        result,
        jitter=random.random(),  # noqa: S311 - spreads retries
        finished_at=utc_now(),
    )


async def _result(
    task: ClaimedTask, runnable: Runnable, sealing: Sealing, blobs: Blobs
) -> Answer | JobGoesOn | AttemptFailedError:
    try:
        return await _run(task, runnable, sealing, blobs)
    except AttemptFailedError as error:
        return error
    except (BlobLostError, UnavailableError) as error:
        return failed(error)
    except Exception as error:
        # A fault of ours must cost this attempt, not the executor and all its others.
        log.exception("attempt failed unexpectedly", task_id=str(task.id))
        return AttemptFailedError(f"The executor has a fault: {type(error).__name__}.")


async def _run(
    task: ClaimedTask, runnable: Runnable, sealing: Sealing, blobs: Blobs
) -> Answer | JobGoesOn:
    place = ResponsePlace(blobs, task_id=task.id, attempt=task.attempt)
    answer = await _runner(task, runnable).run(attempt_at(task, sealing, blobs, place))
    if isinstance(answer, Answer) and len(answer.response.body) > place.inline_bytes:
        answer = replace(answer, response=await place.put_away(answer.response))
    return answer


def _runner(task: ClaimedTask, runnable: Runnable) -> Runner:
    if task.upstream_job is not None and not isinstance(runnable.runner, JobRunner):
        raise UpstreamJobFailedError("Its operation does not say any more how a job is asked for.")
    return runnable.runner


def _going_on(task: ClaimedTask, job: UpstreamJob, *, after_seconds: float) -> Outcome:
    return Outcome(
        TaskStatus.QUEUED,
        retry_after_seconds=after_seconds,
        attempts=task.attempts,
        upstream_job=job,
    )


def _given_back(
    task: ClaimedTask,
    policy: RetryPolicy,
    result: Answer | AttemptFailedError,
    *,
    limit: str,
    finished_at: datetime,
) -> Outcome:
    """The outcome of an attempt that only found out that the upstream is down.

    It is not counted, and the task waits with the others until the upstream is up again. One that
    may have no second attempt gets none by this either.
    """
    attempts = with_ended_attempt(
        task,
        outcome="given back",
        finished_at=finished_at,
        detail=f"{_detail(policy, result)} Not counted: the limit {limit} rests.",
        response_status=result.response.status if result.response else None,
    )
    return Outcome(TaskStatus.QUEUED, retry_after_seconds=0, is_given_back=True, attempts=attempts)


def judge(
    task: ClaimedTask,
    policy: RetryPolicy,
    result: Answer | AttemptFailedError,
    *,
    jitter: float,
    finished_at: datetime,
) -> Outcome:
    """The outcome of an attempt. Pure: no clock, no chance.

    Below 500 the upstream's answer is the caller's, though 4xx fails the task, and so may 3xx; from
    500 on the caller is told that the upstream failed. Once an upstream has begun a job no attempt
    follows by itself: nobody knows what the job has done.
    """
    response = result.response
    failure = _failure(result)
    succeeded = isinstance(result, Answer) and result.succeeded
    attempts = with_ended_attempt(
        task,
        outcome="succeeded" if succeeded else "failed",
        finished_at=finished_at,
        detail=_detail(policy, result),
        response_status=response.status if response else None,
    )
    job = result.job or task.job
    if job is None and _is_worth_another(policy, result):
        following = next_attempt(
            policy,
            failures=task.attempt - task.interruptions - task.drains,
            max_attempts=task.max_attempts,
            jitter=jitter,
            upstream_asks_seconds=result.retry_after_seconds,
        )
        if isinstance(following, Retry):
            return Outcome(
                TaskStatus.QUEUED, retry_after_seconds=following.after_seconds, attempts=attempts
            )
    return Outcome(
        TaskStatus.SUCCEEDED if succeeded else TaskStatus.FAILED,
        response=None if failure and isinstance(result, Answer) else response,
        error=failure.problem if failure else None,
        attempts=attempts,
        upstream_job=job,
    )


def _failure(result: Answer | AttemptFailedError) -> AttemptFailedError | None:
    """Why there is no answer to give, a server error of the upstream among the reasons."""
    if isinstance(result, AttemptFailedError):
        return result
    if result.response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UpstreamFailedError(_answered(result.response.status))
    return None


def _detail(policy: RetryPolicy, result: Answer | AttemptFailedError) -> str | None:
    """Why the attempt was not the end, for its history; an answer that is final tells of itself."""
    if failure := _failure(result):
        return str(failure)
    if isinstance(result, Answer) and _is_worth_another(policy, result):
        return _answered(result.response.status)
    return None


def _is_worth_another(policy: RetryPolicy, result: Answer | AttemptFailedError) -> bool:
    if isinstance(result, AttemptFailedError):
        return result.is_retryable
    return result.response.status in policy.on_status


def _answered(status: int) -> str:
    """With the status as people know it: `503 Service Unavailable`."""
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    return f"The upstream answered {status}{phrase}."


def attempt_at(
    task: ClaimedTask, sealing: Sealing, blobs: Blobs, place: ResponsePlace | None = None
) -> Attempt:
    """What the runner is given; raises ArgumentsUnreadableError."""
    try:
        return Attempt(
            task.id,
            join(task.arguments, sealing.unseal(task.sealed_arguments)),
            number=task.attempt,
            principal=task.principal,
            tenant=task.tenant,
            deadline=task.deadline,
            headers=sealing.unseal_headers(task.sealed_headers),
            body=request_body(task, blobs),
            response_place=place,
            trace=task.trace,
            job=task.job,
        )
    except SealedArgumentsError as error:
        raise ArgumentsUnreadableError(str(error)) from error
