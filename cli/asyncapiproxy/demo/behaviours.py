"""How the demo Customer API behaves for an email address: asked for in its local part.

The local part is read as words joined with dots; words that are none of these are just a name.

| word     | asks for                                                                        |
|----------|---------------------------------------------------------------------------------|
| slow+3   | an answer after 3 seconds; fractions too: slow+0.5                              |
| fail+503 | a failure with this status (400 to 599), each time                              |
| drop     | a connection closed without an answer, each time                                |
| flaky+2  | only the first 2 calls fail, as `fail` or `drop` says, else with 503            |
| huge+5   | an answer of 5 MB (5,000,000 bytes), at most 100 MB                             |

So `ann@…` and `ann+tag@…` are quick, and `ann.slow+0.5.flaky+2.drop@…` waits half a second on each
call and loses the connection twice before it succeeds. Put a name first: in `slow+1.7@…` the 7 is a
fraction of a second, in `7.slow+1@…` it is a name.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

SLOW_SECONDS_MAX: Final = 3600.0
HUGE_MEGABYTES_MAX: Final = 100
FAIL_STATUSES: Final = range(400, 600)

_WORD: Final = re.compile(
    r"(?<![^.])"  # at the start, or after a dot
    r"(?:slow\+(?P<slow>[0-9]+(?:\.[0-9]+)?)"
    r"|fail\+(?P<fail>[0-9]+)"
    r"|flaky\+(?P<flaky>[0-9]+)"
    r"|huge\+(?P<huge>[0-9]+)"
    r"|(?P<drop>drop))"
    r"(?![^.])"  # at the end, or before a dot
)


class UnknownBehaviourError(ValueError):
    """The email's local part asks for a behaviour that there is not; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a call to the demo API is to end; by default at once and well."""

    slow_seconds: float = 0.0
    fail_status: int | None = None
    drops: bool = False
    flaky_calls: int | None = None
    huge_megabytes: int = 0

    def fails(self, *, earlier_calls: int) -> bool:
        """Whether the call after so many earlier ones fails, by a status or a drop."""
        if self.flaky_calls is not None:
            return earlier_calls < self.flaky_calls
        return self.drops or self.fail_status is not None

    @property
    def failure_status(self) -> int:
        """The status of a failing call that is not dropped."""
        return self.fail_status or HTTPStatus.SERVICE_UNAVAILABLE


QUICK: Final = Behaviour()


def behaviour_of(email: str) -> Behaviour:
    """The behaviour that an address asks for; of a word said twice the last counts.

    Raises UnknownBehaviourError for `fail+N` with an N that is no failure's status.
    """
    local_part = email.rpartition("@")[0].lower()
    asked: dict[str, str] = {}
    for word in _WORD.finditer(local_part):
        asked |= {name: value for name, value in word.groupdict().items() if value is not None}
    if not asked:
        return QUICK
    return Behaviour(
        slow_seconds=min(float(asked.get("slow", 0)), SLOW_SECONDS_MAX),
        fail_status=_fail_status(asked["fail"]) if "fail" in asked else None,
        drops="drop" in asked,
        flaky_calls=int(asked["flaky"]) if "flaky" in asked else None,
        huge_megabytes=min(int(asked.get("huge", 0)), HUGE_MEGABYTES_MAX),
    )


def _fail_status(digits: str) -> int:
    status = int(digits)
    if status not in FAIL_STATUSES:
        raise UnknownBehaviourError(f"fail+{digits}: a failure's status is from 400 to 599")
    return status
