"""How a limit stands at one moment: what it allows now, and whether its upstream is left alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from asynctasks.limits.limit import Limit
    from asynctasks.limits.pauses import Pauses

CHANGEABLE = {"concurrency": "concurrency", "ratePerSecond": "rate_per_second", "burst": "burst"}
"""What somebody may set in place of the file's, by its key there."""


class BreakerKind(StrEnum):
    """What a limit's breaker lets through."""

    CLOSED = "closed"
    """Everything: the upstream is up, as far as is known."""
    OPEN = "open"
    """Nothing, and from time to time one attempt that finds out whether it is up again."""
    RECOVERING = "recovering"
    """A few at once, and more with each that succeeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """What a limit knows of its upstream. Times are by the database's clock."""

    kind: BreakerKind = BreakerKind.CLOSED
    failures: int = 0
    """Attempts in a row that failed by the upstream's fault."""
    failing_seconds: float = 0.0
    """How long ago the first of these ended."""
    opened_at: datetime | None = None
    open_for_seconds: float = 0.0
    """Until the next probe; 0 or less where it may start."""
    probe_at: datetime | None = None
    """The same as an instant, as it was read."""
    openings: int = 0
    """How often it was opened, or stayed open after a probe, without a success between."""
    successes: int = 0
    """While it recovers, since it was closed."""

    @property
    def is_doubted(self) -> bool:
        """Whether there is something that a success would have it forget."""
        return self.kind is not BreakerKind.CLOSED or self.failures > 0

    @property
    def most_at_once(self) -> int | None:
        """How many attempts may be in hand because of it; None where it binds nobody."""
        match self.kind:
            case BreakerKind.CLOSED:
                return None
            case BreakerKind.OPEN:
                return 0 if self.open_for_seconds > 0 else 1
            case BreakerKind.RECOVERING:
                return 1 + self.successes


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitState:
    """A limit at one moment."""

    limit: Limit
    """As it is in effect: the file's, with what somebody has set on top."""
    declared: Limit
    """As the file has it."""
    changed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What somebody has set, by its key in the file."""
    paused: bool = False
    allowed_in_seconds: float = 0.0
    """Until all starts so far are spread evenly at the rate; 0 or less where they are."""
    turn: float = 0.0
    breaker: BreakerState = field(default_factory=BreakerState)


@dataclass(frozen=True, slots=True)
class Standing:
    """How limits and pauses stand at one moment."""

    states: Mapping[str, LimitState]
    """By name, each limit that was asked for."""
    pauses: Pauses
    running: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """By limit and by key, how many attempts run; empty where that was not asked for."""


def carried_over(before: Limit, after: Limit, allowed_in_seconds: float) -> float:
    """In how many seconds its starts so far are spread evenly at a rate that was changed.

    What is spent stays spent, up to the whole burst: a slower rate gives nobody a burst anew.
    """
    if after.rate_per_second is None:
        return 0.0
    return after.owed_seconds(before.spent_starts(allowed_in_seconds) / after.rate_per_second)


def in_effect(declared: Limit, changed: Mapping[str, Any] | None) -> Limit:
    """The limit with what was set in place of the file's."""
    if not changed:
        return declared
    update = {CHANGEABLE[key]: value for key, value in changed.items() if key in CHANGEABLE}
    return declared.model_copy(update=update)
