"""Arguments are checked without being quoted, and parted into open and sealed ones and joined."""

import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asynctasks.errors import ArgumentsInvalidError, SchemaInvalidError
from asynctasks.json_values import as_object, read_json
from asynctasks.operations.arguments import MAX_MULTIPLES, MAX_VIOLATIONS, ArgumentsSchema, join

SECRET = "hunter2-Zaphod"

CLIENT: dict[str, Any] = {
    "type": "object",
    "required": ["email"],
    "additionalProperties": False,
    "properties": {
        "email": {"type": "string", "format": "email"},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}},
        "a/b~c": {"type": "object", "properties": {"~1": {"type": "null"}}},
        "password": {"type": "string", "minLength": 8, "writeOnly": True},
        "card": {
            "type": "object",
            "properties": {
                "holder": {"type": "string"},
                "number": {"type": "string", "writeOnly": True},
            },
        },
        "keys": {"type": "object", "writeOnly": True},
    },
}


@pytest.mark.parametrize(("number", "times"), [(0.25, 1), (2**53, 1), (2.0**64, 2), (2.0**640, 11)])
def test_so_many_numbers_are_divided_and_no_more(number: float, times: int):
    most = MAX_MULTIPLES // times
    schema = {"properties": {"a": {"items": {"multipleOf": 0.25}}}}
    ArgumentsSchema(schema).check({"a": [number] * most})
    ((pointer, told),) = violations(schema, {"a": [number] * (most + 1)})
    assert (pointer, "more than 5000 numbers" in told) == ("", True)
    ArgumentsSchema({}).check({"a": [number] * (most + 1)})


def violations(schema: dict[str, Any], arguments: Any) -> list[tuple[str, str]]:
    with pytest.raises(ArgumentsInvalidError) as caught:
        ArgumentsSchema(schema).check(arguments)
    return [(violation.pointer, violation.detail) for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [("", '"email" is a required property')]),
        ([], [("", 'the value is not of type "object"')]),
        (None, [("", 'the value is not of type "object"')]),
        ({"email": "ann"}, [("/email", 'the value is not a "email"')]),
        (
            {"email": "a@b.c", "age": -1},
            [("/age", "the value is less than the minimum of 0")],
        ),
        (
            {"email": "a@b.c", "tags": ["a", "long"]},
            [("/tags/1", "the value is longer than 3 characters")],
        ),
        (
            {"email": "a@b.c", "nickname": 1},
            [("", "Additional properties are not allowed ('nickname' was unexpected)")],
        ),
        # RFC 6901 §3: ~ is ~0 and / is ~1.
        (
            {"email": "a@b.c", "a/b~c": {"~1": 1}},
            [("/a~1b~0c/~01", 'the value is not of type "null"')],
        ),
        (
            {"email": "a@b.c", "card": {"number": 4}},
            [("/card/number", 'the value is not of type "string"')],
        ),
    ],
)
def test_a_violation_says_where_and_what(arguments: Any, expected: list[tuple[str, str]]):
    assert violations(CLIENT, arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"": {"a": "x"}, "a": 1}, "//a"),
        ({"": {"": {"a": "x"}}}, "///a"),
        ({"": {"": "x"}}, "//"),
        ({"b": [1, {"": "x"}]}, "/b/1/"),
        ({"": {'"]["a': "x", "a": 1}}, '//"]["a'),
        ({"": {"a/b~c": "x"}}, "//a~1b~0c"),
        # By neither its path nor its message: what is above it.
        ({"": {":\n    ": "x"}}, "/"),
        ({":\n    ": {"": "x"}}, "/:\n    "),
    ],
)
def test_an_empty_name_is_a_part_of_a_place(arguments: Any, place: str):
    schema: dict[str, Any] = {
        "$ref": "#/$defs/deep",
        "$defs": {
            "deep": {
                "type": ["object", "array", "integer"],
                "additionalProperties": {"$ref": "#/$defs/deep"},
                "items": {"$ref": "#/$defs/deep"},
            }
        },
    }
    assert [pointer for pointer, _ in violations(schema, arguments)] == [place]


def test_every_violation_is_told():
    found = violations(CLIENT, {"age": "old", "password": "short"})
    assert [pointer for pointer, _ in found] == ["/age", "/password", ""]


def test_violations_are_told_up_to_a_number():
    assert len(violations(CLIENT, {"email": "a@b.c", "tags": [1] * 247})) == MAX_VIOLATIONS


def test_of_many_values_the_first_violation_is_told():
    arguments = {"email": "a@b.c", "tags": ["a", *[1] * 247]}
    assert [pointer for pointer, _ in violations(CLIENT, arguments)] == ["/tags/1"]


def test_too_many_numbers_of_many_digits_are_refused_and_told_how_to_mend():
    numbers = read_json(f"[{','.join(['0.10000000000000001'] * 5_001)}]")
    (violation,) = violations({}, {"numbers": numbers})
    assert violation[0] == ""
    assert "more than 5000 numbers" in violation[1]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"additionalProperties": False}, "Properties are not allowed here"),
        ({"not": {}}, "{} is not allowed for the value"),
        ({"dependentSchemas": {"a": False}}, "Nothing is allowed here"),
    ],
)
def test_a_schema_that_allows_nothing_is_told_in_words(schema: dict[str, Any], expected: str):
    assert violations(schema, {"a": 1}) == [("", expected)]


def test_arguments_deeper_than_the_validator_goes_are_a_violation():
    deep: Any = None
    for _ in range(500):
        deep = [deep]
    schema = {"type": "object", "properties": {"a": {"enum": [1]}}}
    assert violations(schema, {"a": deep}) == [("", "is nested too deeply")]


STRICT: list[dict[str, Any]] = [
    {"type": "integer"},
    {"type": ["integer", "null"]},
    {"enum": ["red", 1]},
    {"const": {"a": 1}},
    {"format": "email"},
    {"format": "uuid"},
    {"format": "date-time"},
    {"pattern": "^red$"},
    {"pattern": r"^(a|b)+c$"},
    {"minLength": 1_000},
    {"maxLength": 1},
    {"minProperties": 9},
    {"maxProperties": 0},
    {"additionalProperties": False},
    {"additionalProperties": {"type": "integer"}},
    {"unevaluatedProperties": False},
    {"patternProperties": {"": {"type": "integer"}}},
    {"required": ["red"]},
    {"minItems": 9},
    {"maxItems": 0},
    {"uniqueItems": True},
    {"items": {"type": "integer"}},
    {"items": False},
    {"contains": {"const": 1}},
    {"contains": {"type": "string"}, "maxContains": 0},
    {"prefixItems": [False], "unevaluatedItems": False},
    {"multipleOf": 7},
    {"maximum": -1},
    {"exclusiveMinimum": 10**9},
    {"not": {}},
    {"anyOf": [{"type": "integer"}, {"const": "red"}]},
    {"oneOf": [{"type": "integer"}, False]},
    {"oneOf": [{}, {}]},
    {"allOf": [{"type": "integer"}, {"enum": [1]}]},
    {"if": {}, "then": {"const": 1}},
    {"$ref": "#/$defs/x"},
]


def strict(schema: dict[str, Any]) -> ArgumentsSchema:
    return ArgumentsSchema(
        {"type": "object", "properties": {"p": schema}, "$defs": {"x": {"const": 1}}}
    )


secrets = st.sampled_from(
    [SECRET, [SECRET, SECRET], {"name": SECRET}, [[SECRET]], {"name": {"name": [SECRET]}}, 73310442]
)


@given(schema=st.sampled_from(STRICT), value=secrets)
def test_the_text_of_an_error_never_holds_a_value(schema: dict[str, Any], value: Any):
    checked = strict(schema)
    try:
        checked.check({"p": value})
    except ArgumentsInvalidError as error:
        told = str(error) + repr(error.violations)
        assert SECRET not in told
        assert "73310442" not in told


def test_each_of_those_schemas_refuses_some_value():
    values: list[Any] = [SECRET, [SECRET, SECRET], {"name": SECRET}, 73310442]
    for schema in STRICT:
        checked = strict(schema)
        refused = 0
        for value in values:
            try:
                checked.check({"p": value})
            except ArgumentsInvalidError:
                refused += 1
        assert refused, schema


# What arguments fit such a schema of objects within objects does not matter to part and join.
names = st.sampled_from(["a", "b", "c", "a/b"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(names, below, max_size=3),
    max_leaves=10,
)
schemas = st.recursive(
    st.fixed_dictionaries({}, optional={"writeOnly": st.booleans()}),
    lambda below: st.fixed_dictionaries(
        {"properties": st.dictionaries(names, below, max_size=3)},
        optional={"writeOnly": st.booleans()},
    ),
    max_leaves=10,
)


@given(properties=st.dictionaries(names, schemas), arguments=st.dictionaries(names, json_values))
def test_join_is_the_inverse_of_part(properties: dict[str, Any], arguments: dict[str, Any]):
    schema = ArgumentsSchema({"type": "object", "properties": properties})
    before = repr(arguments)
    opened, sealed = schema.part(arguments)
    assert join(opened, sealed) == arguments
    assert repr(arguments) == before


@given(
    properties=st.dictionaries(names, schemas, min_size=1),
    arguments=st.dictionaries(names, json_values, min_size=1),
)
def test_what_is_open_holds_no_write_only_value(
    properties: dict[str, Any], arguments: dict[str, Any]
):
    schema = ArgumentsSchema({"type": "object", "properties": properties})
    assume(schema.write_only)
    opened, sealed = schema.part(arguments)
    for path in schema.write_only:
        assert not _holds(opened, path)
        assert _holds(arguments, path) == (path in [sealed_path for sealed_path, _ in sealed])


def _holds(value: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        members = as_object(value)
        if members is None or name not in members:
            return False
        value = members[name]
    return True


def test_write_only_objects_are_sealed_whole_and_nested_ones_alone():
    arguments = {
        "email": "a@b.c",
        "password": SECRET,
        "card": {"holder": "Ann", "number": SECRET},
        "keys": {"a": {"b": SECRET}},
    }
    opened, sealed = ArgumentsSchema(CLIENT).part(arguments)
    assert opened == {"email": "a@b.c", "card": {"holder": "Ann"}}
    assert sealed == [
        (("password",), SECRET),
        (("card", "number"), SECRET),
        (("keys",), {"a": {"b": SECRET}}),
    ]


def test_arguments_without_a_secret_are_passed_on_as_they_are():
    arguments = {"email": "a@b.c"}
    assert ArgumentsSchema({"type": "object"}).part(arguments) == (arguments, [])
    assert ArgumentsSchema(CLIENT).part(arguments) == (arguments, [])


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"writeOnly": True}, ("writeOnly",)),
        ({"allOf": [{"writeOnly": True}]}, ("allOf", 0, "writeOnly")),
        ({"not": {"writeOnly": True}}, ("not", "writeOnly")),
        (
            {"if": {"properties": {"a": {"writeOnly": True}}}},
            ("if", "properties", "a", "writeOnly"),
        ),
        ({"patternProperties": {"": {"writeOnly": True}}}, ("patternProperties", "", "writeOnly")),
        (
            {"$defs": {"default": {"writeOnly": True}}},
            ("$defs", "default", "writeOnly"),
        ),
        (
            {"properties": {"a": {"prefixItems": [{"writeOnly": True}]}}},
            ("properties", "a", "prefixItems", 0, "writeOnly"),
        ),
        (
            {
                "properties": {"a": {"writeOnly": True}, "b": {"$dynamicRef": "#x"}},
                "$dynamicAnchor": "x",
            },
            ("properties", "b", "$dynamicRef"),
        ),
    ],
)
def test_a_secret_that_could_hide_is_refused_where_it_stands(
    schema: dict[str, Any], path: tuple[str | int, ...]
):
    with pytest.raises(SchemaInvalidError) as caught:
        ArgumentsSchema({"type": "object"} | schema)
    assert caught.value.path == path


@pytest.mark.parametrize("keyword", ["default", "const", "examples", "enum"])
def test_values_in_a_schema_are_no_schemas(keyword: str):
    value: Any = {"writeOnly": True, "$ref": "nowhere"}
    schema = {"type": "object", keyword: [value] if keyword in ("examples", "enum") else value}
    assert ArgumentsSchema(schema).write_only == ()


def test_a_reference_to_a_definition_may_stand_next_to_a_secret():
    schema = {
        "type": "object",
        "properties": {"a": {"writeOnly": True}, "b": {"$ref": "#/$defs/b"}},
        "$defs": {"b": {"type": "integer"}},
    }
    assert ArgumentsSchema(schema).write_only == (("a",),)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "number", "maximum": 1.1}, "1.10", "1.1000000000000000000001"),
        ({"multipleOf": 0.01}, "1234567890123456.780", "1234567890123456.789"),
        ({"type": "integer"}, "1e3", "1e-3"),
        ({"not": {"type": "number"}}, '"1.10"', "1.10"),
        ({"enum": [1.1]}, "1.10", "1.11000"),
    ],
)
def test_numbers_are_checked_by_their_digits(schema: dict[str, Any], good: str, bad: str):
    checked = ArgumentsSchema({"type": "object", "properties": {"a": schema}})
    checked.check(read_json(f'{{"a": {good}}}'))
    with pytest.raises(ArgumentsInvalidError) as caught:
        checked.check(read_json(f'{{"a": {bad}}}'))
    assert bad not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("PT1.5S", True),
        ("PT0.001S", True),
        ("P1DT2H3M4.5S", True),
        ("P1Y2M3D", True),
        ("P3W", True),
        ("PT36H", True),
        ("P", False),
        ("PT", False),
        ("P1DT", False),
        ("PT1.5M", False),
        ("PT.5S", False),
        ("1D", False),
        ("P1W2D", False),
        ("PT1,5S", False),
    ],
)
def test_a_duration_may_have_fractions_of_a_second(text: str, is_one: bool):
    schema = {"type": "object", "properties": {"a": {"format": "duration"}}}
    if is_one:
        ArgumentsSchema(schema).check({"a": text})
    else:
        assert violations(schema, {"a": text})


def test_a_pattern_takes_no_longer_than_its_text_is_long():
    slow = {"type": "object", "properties": {"a": {"pattern": "^(a|a)*(b|b)*(a*)*$"}}}
    begun = time.process_time()
    assert violations(slow, {"a": "a" * 50_000 + "!"})
    assert time.process_time() - begun < 2


def test_of_large_arguments_one_violation_is_told_at_once():
    wrong = {"email": "a@b.c", "tags": [1] * 300_000}
    begun = time.process_time()
    assert len(violations(CLIENT, wrong)) == 1
    assert time.process_time() - begun < 1
