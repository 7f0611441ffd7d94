"""Why callers were refused who have not proven who they are: for the log, not for them."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog

from asyncproxy.access.metrics import UNAUTHENTICATED
from asyncproxy.problems import UnauthenticatedError
from asynctasks.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

EVERY_SECONDS = 10.0
"""Of each reason one line in so much time."""
LONGEST_QUOTE = 64

log = structlog.get_logger(__name__)


class Reason(StrEnum):
    """What was wrong, as the metric counts it."""

    NOTHING = "nothing"
    """Nothing was shown, and anonymous callers are not let in."""
    SEVERAL = "several"
    """More than one proof, which might be of more than one caller."""
    SCHEME = "scheme"
    TOO_LONG = "too-long"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown-key"
    """An API key that is not in the file."""
    ENDED_KEY = "ended-key"
    UNKNOWN_ISSUER = "unknown-issuer"
    NO_SIGNING_KEY = "no-signing-key"
    """The issuer has no such key, or its keys could not be fetched yet."""
    ALGORITHM = "algorithm"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    CLAIMS = "claims"
    """What the access file wants of the token is not there, or is no name."""
    HEADER = "header"
    """What a trusted proxy has said is no name."""


def refusal(reason: Reason, detail: str = "") -> UnauthenticatedError:
    """The error for the caller. The detail, which is never the token, is for the log."""
    return UnauthenticatedError(
        reason=reason, detail=detail, is_proof_shown=reason is not Reason.NOTHING
    )


def quoted(text: object) -> str:
    """What a stranger has written, for a line of the log."""
    written = ascii(text)
    return written if len(written) <= LONGEST_QUOTE else f"{written[:LONGEST_QUOTE]}…"


class RefusalLog:
    """Tells of refusals, few lines of many: whoever floods us does not choose what is logged."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._seldom = Seldom(EVERY_SECONDS, clock=clock)

    def tell(self, error: UnauthenticatedError, request: Request) -> None:
        """Count it, and write a line unless one of the same reason was written just now."""
        UNAUTHENTICATED.labels(error.reason).inc()
        self._seldom.tell(
            log.info,
            "caller not authenticated",
            kind=error.reason,
            reason=error.reason,
            detail=error.detail or None,
            address=request.client and request.client.host,
        )
