"""When a failed attempt is followed by another, as declared in the operations file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from asynctasks.declarations.declared import Declared, Seconds, Whole

HttpStatus = Annotated[Whole, Field(ge=400, le=599)]


class RetryPolicy(Declared):
    """When a failed attempt is followed by another."""

    max_attempts: Whole = Field(default=5, ge=1, le=100)
    backoff_seconds: tuple[Seconds, Seconds] = (1, 60)
    """The longest wait before the second attempt, doubled each time up to the second number."""
    on_status: frozenset[HttpStatus] = frozenset({408, 429, 500, 502, 503, 504})
    """Upstream answers that are worth another attempt; any other answer is the caller's."""

    @field_validator("backoff_seconds")
    @classmethod
    def _grows(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the first number is the shortest backoff, the second the longest")
        return value

    def pause_seconds(self, failures: int, *, jitter: float) -> float:
        """The wait before the attempt that follows the `failures`-th failed one.

        It grows exponentially, with full jitter (uniform in 0..1), which spreads the retries of
        many tasks that failed together.
        """
        shortest, longest = self.backoff_seconds
        return min(longest, shortest * 2.0 ** min(failures - 1, 60)) * jitter
