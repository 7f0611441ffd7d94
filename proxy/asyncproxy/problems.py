"""Errors as callers see them (RFC 9457): one table from our errors to problems."""

from __future__ import annotations

import random
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from asynctasks import errors
from asynctasks.errors import (
    ArgumentsInvalidError,
    AsyncApiProxyError,
    UnavailableError,
    in_our_words,
)
from asynctasks.response import TYPE_PREFIX
from asynctasks.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from asynctasks.errors import Violation

MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger(__name__)
_refusals = Seldom()


class BodyTooLargeError(AsyncApiProxyError):
    """The request's body is larger than this proxy takes."""


class UnsupportedMediaTypeError(AsyncApiProxyError):
    """The request's body is not, by its headers, of a type that the operation takes."""

    def __init__(self, message: str, *, accept: str = "application/json") -> None:
        super().__init__(message)
        self.accept = accept
        """What is taken, as an Accept header (RFC 9110 §12.5.1)."""


class MalformedJsonError(AsyncApiProxyError):
    """The request's body is no JSON, or none that can be passed on as it is."""


class BodyNotAllowedError(AsyncApiProxyError):
    """The request's method has no body."""


class HeaderInvalidError(AsyncApiProxyError):
    """A request header has a value that cannot be used."""


class UnauthenticatedError(AsyncApiProxyError):
    """Who calls is not known: send a token or a key that this proxy takes, and only one."""

    def __init__(
        self, *, reason: str = "nothing", detail: str = "", is_proof_shown: bool = False
    ) -> None:
        super().__init__()
        self.reason = reason
        """What was wrong, and more of it: for the log alone. It would help who guesses, too."""
        self.detail = detail
        self.challenge = 'Bearer realm="asyncapiproxy"'
        """A WWW-Authenticate header (RFC 6750 §3)."""
        if is_proof_shown:
            self.challenge += ', error="invalid_token"'


class ForbiddenError(AsyncApiProxyError):
    """The access rules do not let this caller do that."""


class LimitNotFoundError(AsyncApiProxyError):
    """No operation that this proxy serves has such a limit."""


class QueueNotFoundError(AsyncApiProxyError):
    """No operation that this proxy serves runs on such a queue."""


class OperationNotFoundError(AsyncApiProxyError):
    """This proxy serves no such operation."""


class RefusedRequestError(AsyncApiProxyError):
    """The connection ends here, before the request has come to the application."""

    reason = "refused"
    """As the metric counts it."""


class MalformedRequestError(RefusedRequestError):
    """What came is no HTTP/1.1 request."""

    reason = "malformed"


class RequestTimeoutError(RefusedRequestError):
    """The request did not come in time: its head or its body stopped, or was too slow."""

    reason = "slow"


class UrlTooLongError(RefusedRequestError):
    """The request's URL is longer than this proxy takes."""

    reason = "url"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The URL is longer than {max_bytes} bytes.")


class HeadersTooLargeError(RefusedRequestError):
    """The request's head is larger than this proxy takes."""

    reason = "headers"

    def __init__(self, max_bytes: int, max_headers: int) -> None:
        super().__init__(
            f"The request line and the headers are more than {max_bytes} bytes, "
            f"or more than {max_headers} headers."
        )


class TooManyConnectionsError(RefusedRequestError):
    """This proxy has as many connections as it takes."""

    reason = "connections"

    def __init__(self, max_connections: int) -> None:
        super().__init__(f"This proxy has {max_connections} connections, as many as it takes.")


class OverloadedError(AsyncApiProxyError):
    """More callers wait than this proxy takes."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QueueFullError(OverloadedError):
    """The operation has as many queued tasks as it may have."""


@dataclass(frozen=True, slots=True)
class _Kind:
    type: str
    title: str
    status: int
    retry_after_seconds: int | None = None


KINDS: dict[type[AsyncApiProxyError], _Kind] = {
    ArgumentsInvalidError: _Kind("arguments-invalid", "The arguments are not valid", 422),
    errors.ParametersInvalidError: _Kind("parameters-invalid", "A parameter is not valid", 422),
    errors.LimitInvalidError: _Kind("limit-invalid", "The limit cannot be set so", 422),
    errors.BatchInvalidError: _Kind("batch-invalid", "The batch cannot be made so", 422),
    BodyNotAllowedError: _Kind("body-not-allowed", "The method has no body", 400),
    MalformedJsonError: _Kind("malformed-json", "The body cannot be read as JSON", 400),
    HeaderInvalidError: _Kind("header-invalid", "A header is not valid", 400),
    BodyTooLargeError: _Kind("body-too-large", "The body is too large", 413),
    UnsupportedMediaTypeError: _Kind("unsupported-media-type", "The body's type is not taken", 415),
    UnauthenticatedError: _Kind("unauthenticated", "It is not known who calls", 401),
    ForbiddenError: _Kind("forbidden", "The caller may not do this", 403),
    MalformedRequestError: _Kind("malformed-request", "This is no valid HTTP request", 400),
    RequestTimeoutError: _Kind("request-timeout", "The request did not come in time", 408),
    UrlTooLongError: _Kind("url-too-long", "The URL is too long", 414),
    HeadersTooLargeError: _Kind("headers-too-large", "The headers are too large", 431),
    TooManyConnectionsError: _Kind(
        "too-many-connections", "Too many connections", 503, retry_after_seconds=2
    ),
    LimitNotFoundError: _Kind("limit-not-found", "There is no such limit", 404),
    QueueNotFoundError: _Kind("queue-not-found", "There is no such queue", 404),
    OperationNotFoundError: _Kind("operation-not-found", "There is no such operation", 404),
    errors.TaskNotFoundError: _Kind("task-not-found", "There is no such task", 404),
    errors.DeliveryNotFoundError: _Kind("delivery-not-found", "There is no such delivery", 404),
    errors.BatchNotFoundError: _Kind("batch-not-found", "There is no such batch", 404),
    errors.BatchFinishedError: _Kind("batch-finished", "The batch has finished", 409),
    errors.TaskUnreadableError: _Kind("task-unreadable", "The task cannot be read", 500),
    errors.TaskNotFinishedError: _Kind(
        "task-not-finished", "The task has not finished", 409, retry_after_seconds=1
    ),
    errors.TaskFinishedError: _Kind("task-finished", "The task has finished", 409),
    errors.IdempotencyKeyReusedError: _Kind(
        "idempotency-key-reused", "The idempotency key is another call's", 422
    ),
    OverloadedError: _Kind("overloaded", "Too many callers wait", 503),
    QueueFullError: _Kind("queue-full", "The operation's queue is full", 429),
    errors.QuotaExceededError: _Kind("quota-exceeded", "A quota is used up", 429),
    errors.ReadTooLongError: _Kind(
        "list-timeout", "The list took too long", 503, retry_after_seconds=5
    ),
    errors.BlobLostError: _Kind("body-lost", "The stored body is gone", 500),
    errors.BlobStoreUnavailableError: _Kind(
        "blob-store-unavailable", "The store of large bodies is away", 503, retry_after_seconds=2
    ),
    errors.DatabaseUnavailableError: _Kind(
        "database-unavailable", "The task database is away", 503, retry_after_seconds=2
    ),
}


def problem_response(
    *,
    type: str,  # noqa: A002 - RFC 9457's name
    title: str,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """A problem document; `members` are extensions (RFC 9457 §3.2)."""
    own = {"Cache-Control": "no-store", **(headers or {})}
    document = {
        "type": type if type == "about:blank" else TYPE_PREFIX + type,
        "title": title,
        "status": status,
        "detail": detail,
        **members,
    }
    return Response(orjson.dumps(document), status, own, media_type=MEDIA_TYPE)


def on_error(request: Request | None, error: Exception) -> Response:
    """What we know how to name."""
    assert isinstance(error, AsyncApiProxyError)
    kind = _kind(error)
    if kind is None:
        return on_unknown_error(request, error)
    members: dict[str, Any] = {}
    if isinstance(error, ArgumentsInvalidError):
        members["errors"] = list(map(_fault, error.violations))
    detail = str(error)
    if isinstance(error, UnavailableError):
        # Hundreds may have waited for what is away, and are refused in one moment.
        _refusals.tell(log.warning, "a caller was refused", kind=kind.type, reason=detail)
        detail = error.public
    retry_after = kind.retry_after_seconds
    if retry_after is not None and isinstance(error, UnavailableError):
        # All who were refused in one moment would come again in one.
        retry_after += random.randint(0, retry_after)  # noqa: S311 - spreads load
    if isinstance(error, OverloadedError | errors.QuotaExceededError):
        retry_after = error.retry_after_seconds
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    if isinstance(error, errors.QuotaExceededError):
        members["violated-policies"] = [error.policy]
        headers |= _quota_headers(error)
    if isinstance(error, UnsupportedMediaTypeError):
        headers["Accept"] = error.accept
        if request is not None and request.method == "PATCH":
            headers["Accept-Patch"] = error.accept  # RFC 5789 §2.2
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = error.challenge
    return problem_response(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=detail,
        headers=headers,
        **members,
    )


def status_of(error: Exception) -> int:
    """What it is answered with."""
    kind = _kind(error)
    return HTTPStatus.INTERNAL_SERVER_ERROR if kind is None else kind.status


def _kind(error: Exception) -> _Kind | None:
    return next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), None)


def _quota_headers(error: errors.QuotaExceededError) -> dict[str, str]:
    """As draft-ietf-httpapi-ratelimit-headers-11 has them, of the quota that is used up."""
    window = error.window_seconds
    unit = 'qu="concurrent-requests"' if window is None else f"w={window}"
    return {
        "RateLimit-Policy": f'"{error.policy}";q={error.limit};{unit}',
        "RateLimit": f'"{error.policy}";r=0;t={error.retry_after_seconds}',
    }


def _fault(violation: Violation) -> dict[str, str]:
    if violation.parameter is not None:
        return {"parameter": violation.parameter, "detail": violation.detail}
    return {"pointer": violation.pointer, "detail": violation.detail}


def on_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses: an unknown path or method. OPTIONS asks what it would not."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and "app" in request.scope:
        headers["Allow"] = ", ".join(sorted(_methods_at(request)))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    has_docs = "app" in request.scope and request.app.docs_url is not None
    listed = "; /docs lists what is" if has_docs else ""
    details = {
        404: f"Nothing is served at {request.url.path}{listed}.",
        405: f"{request.method} is not served at {request.url.path}.",
    }
    return problem_response(
        type="about:blank",
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        detail=details.get(error.status_code, str(error.detail)),
        headers=headers,
    )


def _methods_at(request: Request) -> set[str]:
    """All that the path has: the router tells those of the first route that it finds."""
    methods = {"OPTIONS"}
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return methods


def on_parameters_invalid(_: Request, error: Exception) -> Response:
    """What FastAPI refuses: a query parameter of one of the proxy's own paths."""
    assert isinstance(error, RequestValidationError)
    faults = [
        {"parameter": str(fault["loc"][1]), "detail": in_our_words(str(fault["msg"]))}
        for fault in error.errors()
    ]
    return problem_response(
        type="parameters-invalid",
        title="A parameter is not valid",
        status=422,
        detail="; ".join(f"{fault['parameter']}: {fault['detail']}" for fault in faults),
        errors=faults,
    )


def on_disconnect(request: Request, error: Exception) -> Response:
    """What nobody reads: the caller has left."""
    del request, error
    return Response()


def on_unknown_error(request: Request | None, error: Exception) -> Response:
    """A fault of ours: the log has it, the caller only learns that it is not theirs."""
    log.error("request failed", path=request and request.url.path, exc_info=error)
    return problem_response(
        type="internal-error",
        title="The proxy has a fault",
        status=500,
        detail="The fault is logged. If you had a task id, the task is not affected.",
    )
