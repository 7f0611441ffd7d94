"""What can go wrong with a call of a proxy. A docstring is its error's default message."""

from __future__ import annotations

from difflib import get_close_matches
from http import HTTPStatus
from typing import TYPE_CHECKING

from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from asyncapiproxy.client.problem import Problem
    from asyncapiproxy.client.task_state import TaskStatus


MOST_NAMES = 20
"""In a message; of more, those that were likely meant are told."""


class ClientError(AsyncApiProxyError):
    """A call of a proxy did not bring what it was made for."""


class UrlInvalidError(ClientError):
    """It is no URL of a proxy: expected http://host:port."""


class TokenUnusableError(ClientError):
    """It is no token or API key: it is empty, or has other than ASCII in it."""


class CallInvalidError(ClientError):
    """The call cannot be sent as it is."""


class PathArgumentMissingError(CallInvalidError):
    """An argument that stands in the operation's path is missing."""


class ArgumentUnknownError(CallInvalidError):
    """An argument has no place in a call of the operation."""


class OperationUnknownError(ClientError):
    """The proxy has no such operation."""

    def __init__(self, operation: str, *, url: str, known: Iterable[str]) -> None:
        self.operation = operation
        self.known = tuple(known)
        """The names of all that it has."""
        super().__init__(f"{url} has no operation {operation!r}. It has: {self._told()}")

    def _told(self) -> str:
        if len(self.known) <= MOST_NAMES:
            return ", ".join(self.known) or "none"
        likely = "".join(f"{name}, " for name in get_close_matches(self.operation, self.known, n=5))
        return f"{likely}and {len(self.known)} in all"


class ProxyUnreachableError(ClientError):
    """No proxy answers at the URL, or the connection ended before it had answered."""

    def __init__(self, message: str, *, url: str, was_sent: bool = True) -> None:
        super().__init__(message)
        self.url = url
        self.was_sent = was_sent
        """Whether the proxy may have got the call."""
        self.key: str | None = None
        """Of a call that submits: the key by which a repeat, however late, joins its task."""


class NotAProxyError(ClientError):
    """What answers at the URL is no AsyncApiProxy."""


class TaskUnfinishedError(ClientError, TimeoutError):
    """The task had not finished when the time was over. It goes on."""

    def __init__(self, task_id: str, *, seconds: float) -> None:
        super().__init__(f"Task {task_id} had not finished after {seconds:g} s. It goes on.")
        self.task_id = task_id


class CallbackInvalidError(ClientError):
    """What came is no callback of the proxy, or not as it was sent: nothing in it is to be used."""


class CallbackKeyUnusableError(ClientError):
    """It is no key by which callbacks can be verified."""


class ProblemError(ClientError):
    """The proxy answered with a problem (RFC 9457). Its subclasses go by the status."""

    def __init__(self, problem: Problem, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds
        """When it is worth to call again, where the proxy says so."""
        self.key: str | None = None
        """Of a call that submits: the key by which a repeat, however late, joins its task."""


class CallRefusedError(ProblemError):
    """400, 413, 415, 422 and their like: the call is wrong, and `problem.faults` says where."""


class CallerRefusedError(ProblemError):
    """401, 403: the proxy does not know who calls, or does not let them."""


class NotFoundError(ProblemError):
    """404: there is no such task, or the caller may not see it."""


class ConflictError(ProblemError):
    """409: the task has finished already, or has not finished yet."""


class BusyError(ProblemError):
    """429, 503: not now. The client has repeated the call for as long as it is patient."""


class TaskFailedError(ClientError):
    """The task has ended, and not with success."""

    def __init__(
        self,
        task_id: str,
        *,
        status: TaskStatus,
        problem: Problem | None,
        response: httpx.Response | None,
    ) -> None:
        self.task_id = task_id
        self.status: TaskStatus = status
        self.problem = problem
        """Why there is no answer of the upstream, or what that answered where it is a problem."""
        self.response = response
        """The upstream's own answer, if it has refused the call."""
        reason = problem or (response and f"The upstream answered {response.status_code}.") or ""
        super().__init__(f"Task {task_id} {_ENDED[status]}: {reason}")


class TaskCancelledError(TaskFailedError):
    """The task was cancelled before it had finished."""


class TaskExpiredError(TaskFailedError):
    """The task had not finished by its deadline."""


_ENDED = {"failed": "failed", "cancelled": "was cancelled", "expired": "expired"}
_KINDS: dict[int, type[ProblemError]] = {
    HTTPStatus.UNAUTHORIZED: CallerRefusedError,
    HTTPStatus.FORBIDDEN: CallerRefusedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.TOO_MANY_REQUESTS: BusyError,
    HTTPStatus.SERVICE_UNAVAILABLE: BusyError,
}


def problem_error(
    problem: Problem, *, status: int, retry_after_seconds: float | None = None
) -> ProblemError:
    """The error of an answer that is a problem."""
    is_callers = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    kind = _KINDS.get(status, CallRefusedError if is_callers else ProblemError)
    return kind(problem, retry_after_seconds=retry_after_seconds)


def task_failed(
    task_id: str,
    *,
    status: TaskStatus,
    problem: Problem | None = None,
    response: httpx.Response | None = None,
) -> TaskFailedError:
    """The error of a task that has ended so."""
    kinds = {"cancelled": TaskCancelledError, "expired": TaskExpiredError}
    kind = kinds.get(status, TaskFailedError)
    return kind(task_id, status=status, problem=problem, response=response)
