"""What the demo Customer API counts about its calls, in memory, from its start."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class CallStats:
    """Counts the ends of `POST /clients`; each call ends in a status, a disconnect or a drop."""

    calls: int = 0
    duplicate_calls: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    disconnects: int = 0
    drops: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    flaky_calls: Counter[str] = field(default_factory=Counter[str])
    """Calls so far of each idempotency key, or email, that asked for `flaky`."""
    keys: set[str] = field(default_factory=set[str])

    @contextmanager
    def call(self, key: str | None) -> Generator[None]:
        """Counts a call, which is in flight until the block ends."""
        self.calls += 1
        if key is not None:
            self.duplicate_calls += key in self.keys
            self.keys.add(key)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def as_json(self) -> dict[str, Any]:
        """The counts under the names that `GET /stats` gives them."""
        return {
            "calls": self.calls,
            "distinct_keys": len(self.keys),
            "duplicate_calls": self.duplicate_calls,
            "in_flight": self.in_flight,
            "in_flight_max": self.in_flight_max,
            "disconnects": self.disconnects,
            "drops": self.drops,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
        }
