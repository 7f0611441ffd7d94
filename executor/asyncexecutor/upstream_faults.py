"""What a call's failure means for an attempt."""

from __future__ import annotations

from asyncexecutor.failures import (
    AttemptFailedError,
    UpstreamHeaderError,
    UpstreamResponseUnreadableError,
    UpstreamUnreachableError,
    UpstreamUrlError,
)
from asyncexecutor.http.faults import (
    AddressInvalidError,
    AnswerInvalidError,
    CallFailedError,
    RequestInvalidError,
)


def failure(error: CallFailedError, *, whose: str = "The upstream") -> AttemptFailedError:
    """The failure of the attempt, by a call of the upstream or of another."""
    if isinstance(error, AddressInvalidError):
        return UpstreamUrlError(str(error))
    if isinstance(error, RequestInvalidError):
        return UpstreamHeaderError(str(error))
    if isinstance(error, AnswerInvalidError):
        return UpstreamResponseUnreadableError(
            f"{whose} answered, but that cannot be read: {error}."
        )
    return UpstreamUnreachableError(f"{whose}'s connection failed: {error}")
