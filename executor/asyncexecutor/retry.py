"""Whether a failed attempt is followed by another, and when. Decides only: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asynctasks.operations.retry_policy import RetryPolicy

LONGEST_RETRY_AFTER_SECONDS = 3_600.0
"""An upstream may ask for patience, not for ever."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt follows, after so long."""

    after_seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt follows."""


def next_attempt(
    policy: RetryPolicy,
    *,
    failures: int,
    max_attempts: int,
    jitter: float,
    upstream_asks_seconds: float | None = None,
) -> Retry | GiveUp:
    """What follows the failed attempt that was the `failures`-th of this task.

    An upstream's Retry-After is honoured, capped, and the policy's own pause comes on top, so that
    those who were told the same time do not all come at once.
    """
    if failures >= max_attempts:
        return GiveUp()
    asked = min(upstream_asks_seconds or 0.0, LONGEST_RETRY_AFTER_SECONDS)
    return Retry(after_seconds=asked + policy.pause_seconds(failures, jitter=jitter))
