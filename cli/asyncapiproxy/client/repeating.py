"""When a call is worth a repeat, and after how long. Decides; has no clock and sends nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
PASSING = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Statuses that pass by themselves, of the proxy's or of what stands before it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a proxy that is away or busy is waited for."""

    seconds: float

    def pause_seconds(
        self, *, tries: int, waited: float, jitter: float, asked: float | None = None
    ) -> float | None:
        """How long to wait after so many tries, or None where the patience would not last.

        What the proxy asks for counts; else each pause is twice the one before, less a share of up
        to a half by jitter (0 to 1): those who lost the same proxy do not come back at once.
        """
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(tries - 1, 10))
        pause = pause * (1 - jitter / 2) if asked is None else asked
        return pause if waited + pause <= self.seconds else None


def is_passing(response: httpx.Response) -> bool:
    """Whether an answer is of now alone: one with a task's id is that task's, and stays."""
    return response.status_code in PASSING and "task-id" not in response.headers


def retry_after_seconds(response: httpx.Response, *, now: datetime | None = None) -> float | None:
    """What the answer asks for (RFC 9110 §10.2.3): seconds, or a date, as balancers have it."""
    told: str = response.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit():
        return float(told[:9])
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
