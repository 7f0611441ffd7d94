"""One attempt at a task: run it, and judge how it went."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from asyncexecutor.failures import (
    ArgumentsUnreadableError,
    AttemptFailedError,
    OperationUnknownError,
    UpstreamFailedError,
)
from asyncexecutor.retry import Retry, next_attempt
from asyncexecutor.upstream import status_line
from asynctasks.arguments import join
from asynctasks.errors import SealedArgumentsError
from asynctasks.instants import utc_now
from asynctasks.operation import Operation, RetryPolicy
from asynctasks.outcome import Outcome
from asynctasks.task import TaskStatus

if TYPE_CHECKING:
    from uuid import UUID

    from asynctasks.claims import ClaimedTask
    from asynctasks.response import Response
    from asynctasks.sealing import Sealing

log = structlog.get_logger(__name__)

KEPT_ATTEMPTS = 50
"""How many ended attempts a row remembers, the newest."""


class Runner(Protocol):
    """An upstream call or a handler."""

    async def run(self, task_id: UUID, arguments: dict[str, Any]) -> tuple[Response, str | None]:
        """The response and its Retry-After; raises AttemptFailedError."""
        ...


@dataclass(frozen=True, slots=True)
class Runnable:
    """An operation and what runs it."""

    operation: Operation
    runner: Runner


async def run_attempt(
    task: ClaimedTask, runnables: Mapping[str, Runnable], sealing: Sealing, *, executor: str
) -> Outcome:
    """Run the task once and say where that takes it."""
    runnable = runnables.get(task.operation)
    policy = runnable.operation.retry if runnable else RetryPolicy()
    response: Response | None = None
    failure: AttemptFailedError | None = None
    asks: str | None = None
    try:
        if runnable is None:
            raise OperationUnknownError(f"This executor does not know {task.operation!r}.")
        response, asks = await runnable.runner.run(task.id, _arguments(task, sealing))
    except AttemptFailedError as error:
        failure = error
    except Exception as error:
        # A fault of ours must cost this attempt, not the executor with all its other attempts.
        log.exception("attempt failed unexpectedly", task_id=str(task.id))
        failure = AttemptFailedError(f"The executor has a fault: {type(error).__name__}.")
    return judge(
        task,
        policy,
        response=response,
        failure=failure,
        upstream_asks_seconds=_seconds(asks),
        jitter=random.random(),  # noqa: S311 - spreads retries
        executor=executor,
        finished_at=utc_now(),
    )


def judge(
    task: ClaimedTask,
    policy: RetryPolicy,
    *,
    response: Response | None,
    failure: AttemptFailedError | None,
    upstream_asks_seconds: float | None,
    jitter: float,
    executor: str,
    finished_at: datetime,
) -> Outcome:
    """The outcome of an attempt that has a response or a failure. Pure."""
    is_answer = response is not None and response.status < 500
    if response is not None and not is_answer:
        failure = UpstreamFailedError(f"The upstream answered {status_line(response.status)}.")
    may_retry = (
        response.status in policy.on_status
        if response is not None
        else failure is not None and failure.is_retryable
    )
    following = (
        next_attempt(
            policy,
            failures=task.attempt - task.interruptions,
            max_attempts=task.max_attempts,
            jitter=jitter,
            upstream_asks_seconds=upstream_asks_seconds,
        )
        if may_retry
        else None
    )
    has_succeeded = response is not None and response.status < 400
    ended = ended_attempt(
        task,
        outcome="succeeded" if has_succeeded else "failed",
        executor=executor,
        finished_at=finished_at,
        detail=str(failure) if failure else None,
        response_status=response.status if response else None,
    )
    if isinstance(following, Retry):
        return Outcome(
            TaskStatus.QUEUED, retry_after_seconds=following.after_seconds, attempts=ended
        )
    return Outcome(
        TaskStatus.SUCCEEDED if has_succeeded else TaskStatus.FAILED,
        response=response if is_answer else None,
        error=failure.problem if failure else None,
        attempts=ended,
    )


def ended_attempt(
    task: ClaimedTask,
    *,
    outcome: str,
    executor: str,
    finished_at: datetime,
    detail: str | None = None,
    response_status: int | None = None,
) -> list[dict[str, Any]]:
    """The task's ended attempts with this one added."""
    entry = {
        "number": task.attempt,
        "startedAt": task.attempt_started_at,
        "finishedAt": finished_at,
        "outcome": outcome,
        "executor": executor,
        "responseStatus": response_status,
        "detail": detail,
    }
    return [*task.attempts, {k: v for k, v in entry.items() if v is not None}][-KEPT_ATTEMPTS:]


def _arguments(task: ClaimedTask, sealing: Sealing) -> dict[str, Any]:
    try:
        return join(task.arguments, sealing.unseal(task.sealed_arguments))
    except SealedArgumentsError as error:
        raise ArgumentsUnreadableError(str(error)) from error


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After as seconds (RFC 9110 §10.2.3); None where it says nothing we can use."""
    if not retry_after:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
