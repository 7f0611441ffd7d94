"""What aiohttp raises, in our words."""

from __future__ import annotations

import aiohttp
from aiohttp import http_exceptions

from asyncexecutor.http.faults import (
    BAD_HEADER,
    BROKEN,
    CLOSED_BEFORE,
    CLOSED_WITHIN,
    NAME_NOT_FOUND,
    NO_STATUS_LINE,
    NOT_TRUSTED,
    REFUSED,
    TLS_NOT_AGREED,
    TOO_LONG,
    TOO_MANY,
    AddressInvalidError,
    AnswerInvalidError,
    CallFailedError,
    ConnectionFailedError,
    KeptConnectionClosedError,
)

_NOT_CONNECTED = {
    "ClientConnectorDNSError": NAME_NOT_FOUND,
    "ClientConnectorError": REFUSED,
    "ClientProxyConnectionError": "the proxy on the way refused it.",
    "ClientConnectorCertificateError": NOT_TRUSTED,
    "ClientConnectorSSLError": TLS_NOT_AGREED,
    "ClientOSError": BROKEN,
    "ClientConnectionResetError": BROKEN,
    "ServerDisconnectedError": CLOSED_BEFORE,
    "ClientPayloadError": CLOSED_WITHIN,
}
_CUT_SHORT = (http_exceptions.ContentLengthError, http_exceptions.TransferEncodingError)
_UNREADABLE: dict[type[http_exceptions.HttpProcessingError], str] = {
    http_exceptions.LineTooLong: TOO_LONG,
    http_exceptions.BadStatusLine: NO_STATUS_LINE,
    http_exceptions.InvalidHeader: BAD_HEADER,
}

FOREIGN = (aiohttp.ClientError, http_exceptions.HttpProcessingError, OSError, UnicodeError)
"""What a call can raise, time-outs apart."""


def translated(error: BaseException, *, is_kept: bool = False) -> CallFailedError:
    """The failure of a call, on a connection that had served before or a new one."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return ConnectionFailedError(f"the proxy on the way answered {error.status}.")
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):
        return AddressInvalidError()
    fault = _fault_of_the_answer(error)
    if fault is not None:
        return AnswerInvalidError(fault)
    if is_kept and _has_not_begun(error):
        return KeptConnectionClosedError(_why_not_connected(error))
    return ConnectionFailedError(_why_not_connected(error))


def _has_not_begun(error: BaseException) -> bool:
    """Whether a connection ended before a byte of the answer came."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)
    is_new = isinstance(error, aiohttp.ClientConnectorError)
    return isinstance(error, aiohttp.ClientOSError) and not is_new


def _why_not_connected(error: BaseException) -> str:
    if isinstance(getattr(error, "os_error", None), ConnectionResetError):
        return BROKEN
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
        return TOO_MANY
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
