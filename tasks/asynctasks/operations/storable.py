"""What a caller can send in JSON and no row can hold."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from asynctasks.errors import Violation
from asynctasks.json_values import write_json

if TYPE_CHECKING:
    from collections.abc import Generator

MAX_VIOLATIONS = 50
NUL = "\0"
LARGEST_INTEGER = 2**64 - 1
SMALLEST_INTEGER = -(2**63)


def unstorable(arguments: Any) -> list[Violation]:
    """Where the arguments hold a NUL, a lone surrogate, or an integer beyond 64 bits.

    PostgreSQL refuses to read any part of a JSON value with a NUL in it: one such row would break
    each query that looks into the arguments of all.
    """
    try:
        # By its encoded form, since looking into each value by hand takes 50 times as long.
        if b"\\u0000" not in write_json(arguments):
            return []
    except TypeError:
        found = list(islice(_faults(arguments), MAX_VIOLATIONS))
        return found or [Violation("", "is nested too deeply")]
    return list(islice(_faults(arguments), MAX_VIOLATIONS))


def _faults(arguments: Any) -> Generator[Violation]:
    left: list[tuple[str, Any]] = [("", arguments)]
    while left:
        pointer, value = left.pop()
        if (fault := _fault(value)) is not None:
            yield Violation(pointer, fault)
        elif isinstance(value, dict):
            members: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType] - JSON's
            for name, member in members.items():
                if (fault := _fault(name)) is not None:
                    yield Violation(pointer, f"has a property whose name {fault}")
                else:
                    left.append((f"{pointer}/{_escaped(name)}", member))
        elif isinstance(value, list):
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType] - JSON's
            left += ((f"{pointer}/{number}", item) for number, item in enumerate(items))


def _fault(value: Any) -> str | None:
    if isinstance(value, str):
        if NUL in value:
            return "holds a NUL (U+0000), which no text here may"
        return None if _is_unicode(value) else "holds half of a surrogate pair"
    if isinstance(value, int) and not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return "is an integer of more than 64 bits: send it as a string"
    return None


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
