"""The digests by which a repeat is told from another use of the same key."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asynctasks.json_values import as_array, as_object, read_json
from asynctasks.operations.fingerprint import coalescing_key, fingerprints

OLD, NEW = "old-key", "new-key"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4)


def test_the_order_of_the_arguments_does_not_matter():
    assert fingerprints({"a": 1, "b": {"c": 2, "d": 3}}, [NEW]) == fingerprints(
        {"b": {"d": 3, "c": 2}, "a": 1}, [NEW]
    )


def test_a_fingerprint_that_was_kept_before_a_rotation_is_still_known():
    kept = fingerprints({"a": 1}, [OLD])[0]
    assert kept in fingerprints({"a": 1}, [NEW, OLD])
    assert kept not in fingerprints({"a": 2}, [NEW, OLD])
    assert kept not in fingerprints({"a": 1}, [NEW])


def test_one_that_was_kept_before_there_was_a_key_is_known_for_ever():
    assert fingerprints({"a": 1}, [])[0] in fingerprints({"a": 1}, [NEW, OLD])


def test_the_newest_key_makes_the_one_to_keep_and_a_guesser_without_it_has_nothing():
    kept = fingerprints({"pin": "1234"}, [NEW, OLD])[0]
    assert kept == fingerprints({"pin": "1234"}, [NEW])[0]
    assert kept not in fingerprints({"pin": "1234"}, [])
    assert "1234" not in kept


@given(one=OBJECTS, other=OBJECTS)
def test_equal_arguments_and_they_alone_have_equal_fingerprints(
    one: dict[str, object], other: dict[str, object]
):
    same = fingerprints(one, [NEW]) == fingerprints(other, [NEW])
    assert same is (repr(sorted_all(one)) == repr(sorted_all(other)))


def sorted_all(value: object) -> object:
    if (members := as_object(value)) is not None:
        return sorted((key, sorted_all(inner)) for key, inner in members.items())
    items = as_array(value)
    return value if items is None else [sorted_all(inner) for inner in items]


def test_numbers_are_compared_by_value():
    for equal in (
        ("1", "1.0", "1e0", "10e-1", "1.000"),
        ("0", "-0.0", "0e9"),
        ("0.1", "1e-1", "0.10"),
        ("-12e3", "-12000"),
        ("1e30", "1000000000000000000000000000000.0"),
        ("9007199254740993.0", "9007199254740993.00"),
    ):
        prints = {fingerprints(read_json(f'{{"n":[{text}]}}'), [NEW])[0] for text in equal}
        assert len(prints) == 1, equal
    different = (
        *("1", "1.0000000000000000001", "true", '"1"', "1e1", "-1", "1.1"),
        *("0", "1e-400", "1e-99999999999999999999"),
    )
    assert len({fingerprints(read_json(f'{{"n":{n}}}'), [NEW])[0] for n in different}) == 10


def test_calls_are_equal_by_all_that_reaches_the_upstream_but_their_traces():
    def key(arguments: dict[str, Any], *headers: tuple[str, str], revision: str = "1") -> str:
        return coalescing_key(revision, arguments, headers, [NEW, OLD])

    plain = key({"a": 1, "b": 2}, ("Accept", "text/csv"))
    traced = ("Traceparent", "00-1-1-01"), ("tracestate", "a=1"), ("baggage", "b=1")
    assert key({"b": 2.0, "a": 1}, ("accept", "text/csv"), *traced) == plain
    assert key({"a": 1, "b": 2}, ("accept", "text/html")) != plain
    assert key({"a": 1, "b": 2}) != plain
    assert key({"a": 1, "b": 3}, ("accept", "text/csv")) != plain
    assert key({"a": 1, "b": 2}, ("accept", "text/csv"), revision="2") != plain
    assert coalescing_key("1", {"a": 1}, [], []) != coalescing_key("1", {"a": 1}, [], [NEW])
