"""JSON values, which Python's types only know as Any, and numbers that keep their digits."""

from __future__ import annotations

import json
import re
from typing import Any, Self

import orjson

_FRACTION = re.compile(r"\d[.eE]")
_FRACTION_IN_BYTES = re.compile(rb"\d[.eE]")


class WrittenNumber(float):
    """A number of a JSON text that a float alone would give back with other digits.

    `1.10`, `1e3` and `1234567890123456.78` are floats to whoever calculates, and `text` is how
    they were written: amounts of money have digits that matter.
    """

    text: str

    def __new__(cls, text: str) -> Self:
        """The number that JSON writes as `text`."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # a copy keeps the text
        """What makes a copy."""
        return (self.text,)


def read_json(text: bytes | str) -> Any:
    """The value of a JSON text, its numbers as they were written; raises orjson.JSONDecodeError."""
    value = orjson.loads(text)
    pattern = _FRACTION if isinstance(text, str) else _FRACTION_IN_BYTES
    if pattern.search(text):  # pyright: ignore[reportArgumentType, reportCallIssue] - of the same kind
        return json.loads(text, parse_float=_number)
    return value


def write_json(value: Any, option: int = 0) -> bytes:
    """The JSON text of a value, its numbers as they were written."""
    return orjson.dumps(value, _as_written, option)


def as_object(value: Any) -> dict[str, Any] | None:
    """The value where it is a JSON object; else None."""
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType] - JSON's keys are text


def as_array(value: Any) -> list[Any] | None:
    """The value where it is a JSON array; else None."""
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType] - its items are JSON


def is_storable(value: Any) -> bool:
    """Whether rows, seals and replies can hold it: not where it is nested too deeply.

    Orjson reads 1,024 levels and writes 254; ours are wrapped around the value.
    """
    try:
        write_json([[[[[[[[value]]]]]]]])
    except orjson.JSONEncodeError:
        return False
    return True


def _number(text: str) -> float:
    number = float(text)
    return number if repr(number) == text and "e" not in text else WrittenNumber(text)


def _as_written(value: Any) -> orjson.Fragment:
    if isinstance(value, WrittenNumber):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} is no JSON value")
