"""What aiohttp raises, as what it means for an attempt.

Its texts quote URLs and answers, so none of them is passed on: callers would read secrets there.
"""

from __future__ import annotations

import aiohttp
from aiohttp import http_exceptions

from asyncexecutor.failures import (
    AttemptFailedError,
    UpstreamResponseUnreadableError,
    UpstreamUnreachableError,
    UpstreamUrlError,
)
from asyncexecutor.upstream_connections import MAX_HEADER_BYTES, MAX_HEADERS

_BROKEN = (
    "it was reset or ended while it was being made or used, as it is where a client certificate "
    "is asked for."
)
_NOT_CONNECTED = {
    "ClientConnectorDNSError": "its name was not found.",
    "ClientConnectorError": "it was refused.",
    "ClientProxyConnectionError": "the proxy on the way refused it.",
    "ClientConnectorCertificateError": "its certificate is not trusted.",
    "ClientConnectorSSLError": "TLS could not be agreed on.",
    "ClientOSError": _BROKEN,
    "ClientConnectionResetError": _BROKEN,
    "ServerDisconnectedError": "it was closed before an answer came.",
    "ClientPayloadError": "it was closed in the middle of the answer.",
}
_CUT_SHORT = (http_exceptions.ContentLengthError, http_exceptions.TransferEncodingError)
_UNREADABLE: dict[type[http_exceptions.HttpProcessingError], str] = {
    http_exceptions.LineTooLong: f"a line of its head is longer than {MAX_HEADER_BYTES} bytes",
    http_exceptions.BadStatusLine: (
        "it does not begin with a status line of HTTP/1.1, or goes on after its end"
    ),
    http_exceptions.InvalidHeader: "a header has characters that none may have",
}

FOREIGN = (aiohttp.ClientError, http_exceptions.HttpProcessingError, OSError, UnicodeError)
"""What a call can raise, timeouts apart."""


def failure(error: BaseException, *, whose: str = "The upstream") -> AttemptFailedError:
    """The failure of the attempt, by a call of the upstream or of another."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return UpstreamUnreachableError(
            f"{whose}'s connection failed: the proxy on the way answered {error.status}."
        )
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):
        return UpstreamUrlError("The host is none that can be asked for.")
    fault = _fault_of_the_answer(error)
    if fault is not None:
        return UpstreamResponseUnreadableError(
            f"{whose} answered, but that cannot be read: {fault}."
        )
    return UpstreamUnreachableError(f"{whose}'s connection failed: {_why_not_connected(error)}")


def _why_not_connected(error: BaseException) -> str:
    if isinstance(getattr(error, "os_error", None), ConnectionResetError):
        return _BROKEN
    name = type(error).__name__
    return _NOT_CONNECTED.get(name, f"{name}.")


def _fault_of_the_answer(error: BaseException) -> str | None:
    """What is wrong with an answer; None where the connection ended instead."""
    cause = _parser_error(error)
    if cause is None or isinstance(cause, _CUT_SHORT):
        return None
    for kind, told in _UNREADABLE.items():
        if isinstance(cause, kind):
            return told
    if cause.message.startswith("Too many headers"):
        return f"it has more than {MAX_HEADERS} headers"
    # The parser's words; what follows a colon are the answer's.
    return cause.message.partition(":")[0].partition("\n")[0]


def _parser_error(error: BaseException) -> http_exceptions.HttpProcessingError | None:
    """The most exact of the errors that led to this one."""
    found = None
    following: BaseException | None = error
    while following is not None:
        if isinstance(following, http_exceptions.HttpProcessingError):
            found = following
        following = following.__cause__
    return found
