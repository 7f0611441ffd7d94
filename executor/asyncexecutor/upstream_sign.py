"""What the end of an attempt says of its upstream. Decides only: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from asyncexecutor.failures import (
    AttemptFailedError,
    HandlerFailedError,
    HandlerTimeoutError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from asyncexecutor.runner import JobGoesOn

if TYPE_CHECKING:
    from asyncexecutor.runner import Answer
    from asynctasks.operations.retry_policy import RetryPolicy

_DOWN = (
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    # A handler answers 4xx where its caller is at fault; an exception is what it called.
    HandlerTimeoutError,
    HandlerFailedError,
)
_ASKS_FOR_TIME = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class Sign:
    """That an upstream is up, or that it is not."""

    is_up: bool
    asked_seconds: float | None = None
    """For how long it asks to be left alone."""


def sign_of(result: Answer | JobGoesOn | AttemptFailedError, policy: RetryPolicy) -> Sign | None:
    """What the end of an attempt's call says; None for nothing.

    It is down by its own fault alone: it was not reached, did not answer in time, or answered 429
    or 5xx that the operation takes for worth another attempt. Of what fails before or after the
    call, such as a URL that cannot be made or an answer too large, it says nothing.
    """
    if isinstance(result, AttemptFailedError):
        return Sign(is_up=False) if isinstance(result, _DOWN) else None
    if isinstance(result, JobGoesOn):
        return Sign(is_up=True)
    status = result.response.status
    if status not in policy.on_status:
        return Sign(is_up=True)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    asked = result.retry_after_seconds if status in _ASKS_FOR_TIME else None
    return Sign(is_up=False, asked_seconds=asked)
