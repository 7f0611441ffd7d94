"""Why a call has no answer. No text quotes a URL or an answer: callers would read secrets there."""

from __future__ import annotations

from asynctasks.errors import AsyncApiProxyError

MAX_HEADER_BYTES = 65_536
"""The most that one header of an answer may have, its name and its value together."""
MAX_HEADERS = 512

REFUSED = "it was refused."
BROKEN = (
    "it was reset or ended while it was being made or used, as it is where a client certificate "
    "is asked for."
)
NAME_NOT_FOUND = "its name was not found."
NOT_TRUSTED = "its certificate is not trusted."
TLS_NOT_AGREED = "TLS could not be agreed on."
CLOSED_BEFORE = "it was closed before an answer came."
CLOSED_WITHIN = "it was closed in the middle of the answer."

TOO_LONG = f"a line of its head is longer than {MAX_HEADER_BYTES} bytes"
TOO_MANY = f"it has more than {MAX_HEADERS} headers"
NO_STATUS_LINE = "it does not begin with a status line of HTTP/1.1, or goes on after its end"
BAD_HEADER = "a header has characters that none may have"


class CallFailedError(AsyncApiProxyError):
    """A call has no answer."""


class AddressInvalidError(CallFailedError):
    """The host is none that can be asked for."""


class AddressRefusedError(CallFailedError):
    """The host has an address that may not be called."""


class RequestInvalidError(CallFailedError):
    """A header or the address of the call would break up its head."""


class ConnectionFailedError(CallFailedError):
    """There is no connection, or it ended before the answer did."""


class KeptConnectionClosedError(ConnectionFailedError):
    """A connection that had served before ended without a byte of an answer."""


class AnswerInvalidError(CallFailedError):
    """The answer is no HTTP/1.1, or more than is read."""
