"""Numbers keep their digits, and everything else is as orjson has it."""

import copy
import pickle
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasks.json_values import (
    MAX_LONG_NUMBERS,
    TooManyLongNumbersError,
    WrittenNumber,
    exact_numbers,
    read_json,
    write_json,
)

integers = st.from_regex(r"-?(0|[1-9][0-9]{0,24})", fullmatch=True).filter(lambda it: it != "-0")
numbers = st.builds(
    "".join,
    st.tuples(
        integers,
        st.sampled_from(["", ".0", ".10", ".000", ".123456789012345678"])
        | st.from_regex(r"\.[0-9]{1,20}", fullmatch=True),
        st.sampled_from(["", "e3", "E-7", "e+10", "E05"]),
    ),
)


@given(number=numbers)
def test_a_number_is_written_as_it_was_read(number: str):
    for text in (number, f"[{number}]", f'{{"a":{number}}}', f'{{"a.1e3":[[{number}],"1.0"]}}'):
        assert write_json(read_json(text)).decode() == text
        assert write_json(read_json(text.encode())).decode() == text


@pytest.mark.parametrize("text", ["1.10", "1e3", "1234567890123456.78", "18446744073709551616"])
def test_it_is_a_float_to_whoever_calculates_and_a_copy_keeps_its_text(text: str):
    number = read_json(text)
    copies: list[Any] = [
        copy.copy(number),
        copy.deepcopy(number),
        pickle.loads(pickle.dumps(number)),
    ]
    for each in (number, *copies):
        assert isinstance(each, WrittenNumber)
        assert (float(each), each.text) == (float(text), text)


@pytest.mark.parametrize("text", ["1.1", "-0.5", "100.25", "12", "0", "18446744073709551615"])
def test_what_loses_nothing_is_a_plain_number(text: str):
    assert type(read_json(text)) in {int, float}


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(value=values)
def test_any_value_is_read_as_orjson_reads_it(value: Any):
    text = orjson.dumps(value)
    assert read_json(text) == orjson.loads(text)
    assert write_json(read_json(text)) == text


def test_numbers_that_a_float_would_alter_are_decimals_and_no_others():
    text = '{"a": [1.10, 1e3, {"b": 12345678901234567890.5}], "c": "1.0", "d": 0.10000000000000001}'
    exact = exact_numbers(read_json(text))
    assert exact == {
        "a": [1.1, 1000.0, {"b": Decimal("12345678901234567890.5")}],
        "c": "1.0",
        "d": Decimal("0.10000000000000001"),
    }
    assert [type(item) for item in exact["a"][:2]] == [float, float]
    assert type(exact["d"]) is Decimal


@given(
    text=st.from_regex(
        r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,2})?", fullmatch=True
    )
)
def test_an_exact_number_has_the_value_that_was_written(text: str):
    exact = exact_numbers(read_json(f"[{text}]"))[0]
    assert Decimal(repr(exact) if type(exact) is float else exact) == Decimal(text)


def test_there_is_an_end_to_numbers_of_many_digits_but_not_to_others():
    long, short = WrittenNumber("0.10000000000000001"), WrittenNumber("1.10")
    assert len(exact_numbers([long] * MAX_LONG_NUMBERS + [short] * 20_000)) == 25_000
    with pytest.raises(TooManyLongNumbersError):
        exact_numbers([long] * (MAX_LONG_NUMBERS + 1))
    plain = {"a": [1, 2.5]}
    assert exact_numbers(plain) is plain


def test_what_would_take_long_to_calculate_with_is_a_float():
    for text in ("0." + "1" * 100_000, "1e-300000000"):
        assert type(exact_numbers(WrittenNumber(text))) is float
