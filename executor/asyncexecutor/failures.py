"""Why an attempt has no answer: each names the problem that a caller sees after the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctasks.errors import AsyncApiProxyError
from asynctasks.response import Problem

if TYPE_CHECKING:
    from asynctasks.response import Response
    from asynctasks.upstream_job import UpstreamJob


class AttemptFailedError(AsyncApiProxyError):
    """The attempt failed."""

    type = "attempt-failed"
    title = "The task could not be run"
    status = 500
    is_retryable = True

    def __init__(
        self,
        message: str | None = None,
        *,
        job: UpstreamJob | None = None,
        response: Response | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """How long whoever failed it asks us to wait before another."""
        self.job = job
        """The upstream's job that it is the end of."""
        self.response = response
        """What the upstream said of that, for people to see beside the failure."""

    @property
    def problem(self) -> Problem:
        """The failure as a task's error."""
        return Problem(self.type, self.title, self.status, str(self))


class UpstreamTimeoutError(AttemptFailedError):
    """The upstream did not answer in time."""

    type = "upstream-timeout"
    title = "The upstream did not answer in time"
    status = 504


class UpstreamUnreachableError(AttemptFailedError):
    """No connection to the upstream, or it ended without an answer."""

    type = "upstream-unreachable"
    title = "The upstream could not be reached"
    status = 502


class UpstreamFailedError(AttemptFailedError):
    """The upstream answered with a server error."""

    type = "upstream-failed"
    title = "The upstream failed"
    status = 502


class UpstreamResponseUnreadableError(AttemptFailedError):
    """The upstream answered, and so has acted, but its answer is not HTTP that can be read."""

    type = "upstream-response-unreadable"
    title = "The upstream's response cannot be read"
    status = 502
    is_retryable = False


class ResponseTooLargeError(AttemptFailedError):
    """The upstream's response is larger than is kept."""

    type = "upstream-response-too-large"
    title = "The upstream's response is too large"
    status = 502
    is_retryable = False


class BodyLostError(AttemptFailedError):
    """The body that the caller sent is gone: the blob store has lost it."""

    type = "body-lost"
    title = "The stored body is gone"
    is_retryable = False


class BodyStoreUnavailableError(AttemptFailedError):
    """A body could not be read from where large ones are kept, or written there."""

    type = "blob-store-unavailable"
    title = "The store of large bodies is away"
    status = 503


class UpstreamUrlError(AttemptFailedError):
    """The arguments do not make a URL of the upstream."""

    type = "upstream-url-invalid"
    title = "The arguments do not fit into the upstream's URL"
    status = 422
    is_retryable = False


class UpstreamAuthError(AttemptFailedError):
    """There is no access token for the upstream."""

    type = "upstream-auth-failed"
    title = "There is no access token for the upstream"
    status = 502


class UpstreamHeaderError(AttemptFailedError):
    """The arguments do not make a header of the upstream's call."""

    type = "upstream-header-invalid"
    title = "The arguments do not fit into the upstream's headers"
    status = 422
    is_retryable = False


class UpstreamJobAddressError(AttemptFailedError):
    """The upstream has begun a job, or ended it, and does not say where it is."""

    type = "upstream-job-address-invalid"
    title = "The upstream's job cannot be followed"
    status = 502
    is_retryable = False


class UpstreamJobFailedError(AttemptFailedError):
    """The upstream's job failed, or cannot be asked for any more."""

    type = "upstream-job-failed"
    title = "The upstream's job failed"
    status = 502
    is_retryable = False


class UpstreamJobTimeoutError(AttemptFailedError):
    """The upstream's job did not end in time."""

    type = "upstream-job-timeout"
    title = "The upstream's job did not end in time"
    status = 504
    is_retryable = False


class HandlerFailedError(AttemptFailedError):
    """The handler raised an exception."""

    type = "handler-failed"
    title = "The operation's handler failed"


class HandlerTimeoutError(AttemptFailedError):
    """The handler did not return in time."""

    type = "handler-timeout"
    title = "The operation's handler did not return in time"
    status = 504


class HandlerAnswerError(AttemptFailedError):
    """The handler returned what cannot be stored. It has acted, so it does not run again."""

    type = "handler-answer-invalid"
    title = "The operation's handler returned no answer that can be given"
    is_retryable = False


class ArgumentsUnreadableError(AttemptFailedError):
    """The sealed arguments could not be opened."""

    type = "arguments-unreadable"
    title = "The sealed arguments could not be opened"


class CallbackFailedError(AttemptFailedError):
    """The receiver of a callback has not taken it."""

    type = "callback-failed"
    title = "The callback was not taken"
    status = 502


class CallbackGoneError(CallbackFailedError):
    """The receiver of a callback wants no more of them."""

    type = "callback-gone"
    title = "The receiver of the callback is gone"
    is_retryable = False
