"""What somebody sets of a limit in place of what the file says. Decides only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from asynctasks.declarations.declared import Declared
from asynctasks.errors import LimitInvalidError, Violation, in_our_words
from asynctasks.limits.limit import Burst, Concurrency, Rate
from asynctasks.limits.limit_state import CHANGEABLE, in_effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynctasks.limits.limit import Limit

_WITHOUT_RATE = "it goes with a rate: expected a `ratePerSecond`, or null for both"


class LimitChange(Declared):
    """A merge patch (RFC 7396) of a limit: null takes the file's again, what is left out stays."""

    concurrency: Concurrency | None = None
    rate_per_second: Rate | None = None
    burst: Burst | None = None

    def after(self, declared: Limit, changed: Mapping[str, Any]) -> dict[str, Any]:
        """All that is set once this is, too; raises LimitInvalidError.

        The file may have lost its rate since a burst was set: that keeps nobody from setting
        something else.
        """
        given = {key: getattr(self, name) for key, name in self._given()}
        merged = {**changed, **given}
        after = {key: value for key, value in merged.items() if value is not None}
        has_rate = in_effect(declared, after).rate_per_second is not None
        if "burst" in after and not has_rate and given.keys() & {"burst", "ratePerSecond"}:
            raise LimitInvalidError([Violation("/burst", _WITHOUT_RATE)])
        return after

    def __str__(self) -> str:
        """For people, what it sets."""
        told = ((key, getattr(self, name)) for key, name in self._given())
        return " ".join(f"{key}={'null' if value is None else value}" for key, value in told)

    def _given(self) -> list[tuple[str, str]]:
        return [(key, name) for key, name in CHANGEABLE.items() if name in self.model_fields_set]


def read_change(given: Any) -> LimitChange:
    """The change that JSON asks for; raises LimitInvalidError."""
    try:
        return LimitChange.model_validate(given)
    except ValidationError as error:
        raise LimitInvalidError(list(map(_violation, error.errors()))) from error


def _violation(fault: Any) -> Violation:
    pointer = "".join(f"/{part}" for part in fault["loc"])
    match fault["type"]:
        case "extra_forbidden":
            known = ", ".join(sorted(CHANGEABLE))
            return Violation(pointer, f"unknown key; expected one of {known}")
        case "model_type":
            return Violation(pointer, 'expected a JSON object: {"concurrency": 20}')
        case _:
            return Violation(pointer, in_our_words(str(fault["msg"])))
