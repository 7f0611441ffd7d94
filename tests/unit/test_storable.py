"""What JSON allows and no row can hold is refused where it stands."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasks.errors import ArgumentsInvalidError
from asynctasks.operations.arguments import ArgumentsSchema
from asynctasks.operations.storable import unstorable

NUL = "holds a NUL (U+0000), which no text here may"


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        ({"a": "x\0y"}, [("/a", NUL)]),
        ({"a": {"b/c": ["", {"~": "\0"}]}}, [("/a/b~1c/1/~0", NUL)]),
        ({"a": {"n\0": 1}}, [("/a", f"has a property whose name {NUL}")]),
        ({"a": 2**64}, [("/a", "is an integer of more than 64 bits: send it as a string")]),
        (
            {"a": [-(2**63) - 1]},
            [("/a/0", "is an integer of more than 64 bits: send it as a string")],
        ),
        ({"a": "\ud800"}, [("/a", "holds half of a surrogate pair")]),
        (
            {
                "a": r"\u0000",
                "b": 2**64 - 1,
                "c": -(2**63),
                "d": "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
                "e": True,
            },
            [],
        ),
    ],
)
def test_it_is_told_by_its_place(arguments: Any, faults: list[tuple[str, str]]):
    assert [(one.pointer, one.detail) for one in unstorable(arguments)] == faults


def test_a_schema_refuses_it_whatever_else_it_allows():
    with pytest.raises(ArgumentsInvalidError) as caught:
        ArgumentsSchema({}).check({"name": "Ann\0"})
    assert [one.pointer for one in caught.value.violations] == ["/name"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_not_told_can_be_stored(value: Any):
    if not unstorable(value):
        assert "\0" not in str(orjson.loads(orjson.dumps(value)))


def test_many_faults_are_told_as_far_as_a_person_can_use_them():
    assert len(unstorable({"a": ["\0"] * 10_000})) == 50
