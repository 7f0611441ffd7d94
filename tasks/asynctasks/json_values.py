"""JSON values, which Python's types only know as Any, and numbers that keep their digits."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_VALUES = 250
"""In what is not large."""
MAX_LONG_NUMBERS = 5_000
"""To check one takes ten times as long as another number."""
MAX_EXACT = 100
FLOAT_DIGITS = 15
"""A float gives back as many, whichever they are."""
SMALLEST_INEXACT = 2.0**53
"""From here on not every integer is a float."""
_EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)
SMALLEST_EXACT = 1e-300
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"0" * 9)
_DELICATE = (b"0.", b"0e", b"0E", b"0" * 19)
"""What begins a number that orjson may give back otherwise; it may stand in a string as well."""


class TooManyLongNumbersError(ValueError):
    """It has more numbers of many digits than can be calculated with while others wait."""


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
    return numbers_as_written(text, orjson.loads(text))


def numbers_as_written(text: bytes | str, value: Any) -> Any:
    """The value of a JSON text as orjson has read it, but with its numbers as they were written."""
    # By searches for fixed bytes: a regular expression takes ten times as long where there are many
    # digits, and nobody else has a turn meanwhile.
    alike = (text.encode() if isinstance(text, str) else text).translate(_DIGITS_ALIKE)
    if not any(found in alike for found in _DELICATE):
        return value
    return _AS_WRITTEN.decode(text if isinstance(text, str) else text.decode())


def exact_numbers(value: Any) -> Any:
    """The value with Decimal for each number that a float would alter, else with a float.

    Raises TooManyLongNumbersError beyond MAX_LONG_NUMBERS of the first.
    """
    if not _has_written_number(value):
        return value
    left = iter(range(MAX_LONG_NUMBERS))

    def exact(number: WrittenNumber) -> Decimal | float:
        found = _exact(number)
        if type(found) is Decimal and next(left, None) is None:
            raise TooManyLongNumbersError
        return found

    return _with_numbers(value, exact)


def is_large(value: Any) -> bool:
    """Whether it has more than MAX_VALUES values, told without looking at many more."""
    values = 0
    waiting = [value]
    while waiting and values + len(waiting) <= MAX_VALUES:
        one = waiting.pop()
        values += 1
        members = as_object(one)
        waiting.extend(as_array(one) or [] if members is None else members.values())
    return bool(waiting)


def number_words(value: Any) -> int:
    """How many words of 64 bits the whole parts of its numbers take, each number one at least."""
    words = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, int | float):
            words += 1 + max(0, math.frexp(one)[1]) // 64
        else:
            members = as_object(one)
            waiting.extend(as_array(one) or [] if members is None else members.values())
    return words


def by_value(value: Any) -> Any:
    """The value with equal numbers in one way of writing: `1`, `1.0` and `1e0` are all `1`."""
    if isinstance(value, float):
        return _plain(value)
    if (members := as_object(value)) is not None:
        return {name: by_value(member) for name, member in members.items()}
    if (items := as_array(value)) is not None:
        return [by_value(item) for item in items]
    return value


def _plain(number: float) -> float:
    if type(number) is WrittenNumber:
        try:
            if not _is_float(number):
                return WrittenNumber(str(Decimal(number.text).normalize(_EXACT)))
        except InvalidOperation:  # an exponent of more than 18 digits
            return number
    is_whole = number.is_integer() and abs(number) < SMALLEST_INEXACT
    return int(number) if is_whole else float(number)


def write_json(value: Any, option: int = 0) -> bytes:
    """The JSON text of a value, its numbers as they were written."""
    return orjson.dumps(value, _as_written, option)


def has_infinite_number(value: Any) -> bool:
    """Whether a NaN or an infinity is in what orjson has written, which makes them null."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float):
            if not math.isfinite(one):
                return True
        elif isinstance(one, Enum):
            waiting.append(one.value)
        elif is_dataclass(one):
            waiting.extend(getattr(one, each.name, None) for each in fields(one))
        elif isinstance(one, dict | list | tuple):
            waiting.extend(_inner(one))
    return False


def json_text(value: Any) -> str:
    """The JSON text of a value as rows hold it."""
    return write_json(value, orjson.OPT_UTC_Z).decode()


def written(value: Any) -> orjson.Fragment:
    """The value as its text, which takes a fraction of its memory and is written as it is."""
    return orjson.Fragment(write_json(value))


def as_object(value: Any) -> dict[str, Any] | None:
    """The value where it is a JSON object; else None."""
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType] - JSON's keys are text


def as_array(value: Any) -> list[Any] | None:
    """The value where it is a JSON array; else None."""
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType] - its items are JSON


def found_at(pointer: str, value: Any) -> Any:
    """What stands in the value at the JSON Pointer (RFC 6901); None where nothing does."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        items = as_array(value)
        if items is not None:
            is_index = name.isascii() and name.isdigit() and int(name) < len(items)
            value = items[int(name)] if is_index else None
        else:
            value = (as_object(value) or {}).get(name)
    return value


def is_storable(value: Any) -> bool:
    """Whether rows, seals and replies can hold it: not where it is nested too deeply.

    Orjson reads 1,024 levels and writes 254; ours are wrapped around the value.
    """
    try:
        write_json([[[[[[[[value]]]]]]]])
    except orjson.JSONEncodeError:
        return False
    return True


def _inner(value: Any) -> Iterable[Any]:
    members = as_object(value)
    return value if members is None else members.values()


def _has_written_number(value: Any) -> bool:
    if (members := as_object(value)) is not None:
        return any(map(_has_written_number, members.values()))
    if (items := as_array(value)) is not None:
        return any(map(_has_written_number, items))
    return type(value) is WrittenNumber


def _exact(number: WrittenNumber) -> Decimal | float:
    # A long exponent or fraction costs those who calculate to the digit more than it is worth.
    is_short = len(number.text) <= MAX_EXACT and abs(number) > SMALLEST_EXACT
    return Decimal(number.text) if is_short and not _is_float(number) else float(number)


def _is_float(number: WrittenNumber) -> bool:
    """Whether a float has the very value that was written, if by other digits."""
    if len(number.text) <= FLOAT_DIGITS and SMALLEST_EXACT < abs(number) < math.inf:
        return True
    return Decimal(number.text) == Decimal(repr(float(number)))


def _with_numbers(value: Any, make: Callable[[WrittenNumber], Any]) -> Any:
    if isinstance(value, WrittenNumber):
        return make(value)
    if (members := as_object(value)) is not None:
        return {name: _with_numbers(member, make) for name, member in members.items()}
    if (items := as_array(value)) is not None:
        return [_with_numbers(item, make) for item in items]
    return value


def _number(text: str) -> float:
    number = float(text)
    return number if repr(number) == text and "e" not in text else WrittenNumber(text)


def _integer(text: str) -> int | WrittenNumber:
    """Beyond 64 bits orjson would write none."""
    if len(text) > len(str(-(2**63))) or not -(2**63) <= int(text) < 2**64:
        return WrittenNumber(text)
    return int(text)


_AS_WRITTEN = json.JSONDecoder(parse_float=_number, parse_int=_integer)


def _as_written(value: Any) -> orjson.Fragment:
    if isinstance(value, WrittenNumber):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} is no JSON value")
