"""What callers give outside the body is read as OpenAPI's styles write it, by the schema."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasks.errors import ArgumentsInvalidError, ParametersInvalidError, Violation
from asynctasks.operations.call_parameters import CallParameters
from asynctasks.operations.parameter import Parameter
from asynctestkit.heads import head

COLORS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "integer"}}
RGB: dict[str, Any] = {
    "type": "object",
    "properties": {"R": {"type": "integer"}, "G": {"type": "integer"}},
}
DEFINITIONS: dict[str, Any] = {"number": {"type": "integer"}, "numbers": NUMBERS}


def parameters(
    *declared: dict[str, Any], required: tuple[str, ...] = (), **properties: Any
) -> CallParameters:
    arguments = {"$defs": DEFINITIONS, "required": list(required), "properties": properties}
    read = [Parameter.model_validate(one) for one in declared]
    variables = [one.name for one in read if one.place == "path"]
    return CallParameters(read, variables=variables, arguments=arguments)


def value(text: str, schema: Any, **declared: Any) -> Any:
    """What the text, the whole of its place, gives the argument `color`."""
    place = declared["in"]
    read = parameters({"name": "color", **declared}, color=schema)
    if place == "path":
        return read.read(head(color=text))["color"]
    if place == "query":
        return read.read(head(text))["color"]
    return read.read(head(headers={"color" if place == "header" else "cookie": [text]}))["color"]


BLUE, THREE, MIX = "blue", ["blue", "black", "brown"], {"R": 100, "G": 200}


@pytest.mark.parametrize(
    ("place", "style", "explode", "text", "expected"),
    [
        # The table of OpenAPI 3.1.1, §4.8.12.4.
        ("path", "matrix", False, ";color=blue", BLUE),
        ("path", "matrix", False, ";color", ""),
        ("path", "matrix", False, ";color=blue,black,brown", THREE),
        ("path", "matrix", False, ";color=R,100,G,200", MIX),
        ("path", "matrix", True, ";color=blue", BLUE),
        ("path", "matrix", True, ";color=blue;color=black;color=brown", THREE),
        ("path", "matrix", True, ";R=100;G=200", MIX),
        ("path", "label", False, ".blue", BLUE),
        ("path", "label", False, ".blue,black,brown", THREE),
        ("path", "label", False, ".R,100,G,200", MIX),
        ("path", "label", True, ".blue.black.brown", THREE),
        ("path", "label", True, ".R=100.G=200", MIX),
        ("path", None, None, "blue", BLUE),
        ("path", "simple", None, "blue,black,brown", THREE),
        ("path", None, None, "R,100,G,200", MIX),
        ("path", None, True, "R=100,G=200", MIX),
        ("header", None, None, "blue", BLUE),
        ("header", None, None, "blue, black,brown ", THREE),
        ("header", "simple", False, "R,100,G,200", MIX),
        ("header", None, True, "R=100, G=200", MIX),
        ("query", None, False, "color=", ""),
        ("query", None, None, "color=blue", BLUE),
        ("query", "form", False, "color=blue,black,brown", THREE),
        ("query", "form", False, "color=R,100,G,200", MIX),
        ("query", None, None, "color=blue&color=black&color=brown", THREE),
        ("query", "form", True, "R=100&G=200", MIX),
        ("query", "spaceDelimited", None, "color=blue%20black+brown", THREE),
        ("query", "spaceDelimited", False, "color=R%20100%20G%20200", MIX),
        ("query", "pipeDelimited", None, "color=blue%7Cblack|brown", THREE),
        ("query", "pipeDelimited", False, "color=R|100|G%7c200", MIX),
        ("query", "deepObject", None, "color[R]=100&color%5BG%5D=200", MIX),
        ("cookie", None, None, "a=1; color=blue;b=2", BLUE),
        ("cookie", None, False, "color=blue,black,brown", THREE),
        ("cookie", "form", False, "color=R,100,G,200", MIX),
        # What is empty is a list of nothing where a list is one text.
        ("query", None, False, "color=", []),
        ("query", None, None, "color=", [""]),
        # What is encoded is of a value, and stands between no two.
        ("query", None, False, "color=blue%2Cblack,brown", ["blue,black", "brown"]),
        ("path", None, None, "blue%2Cblack,brown", ["blue,black", "brown"]),
        ("path", None, None, "a%2Fb%20%C3%A9", "a/b é"),
        ("query", None, None, "color=a+b%2Bc", "a b+c"),
        ("query", None, None, "color=a=b", "a=b"),
        ("query", None, None, "c%6Flor=blue&", BLUE),
        ("cookie", None, None, "color=a+b%20c", "a+b c"),
        ("header", None, None, "a%20b", "a%20b"),
    ],
)
def test_each_style_is_read(
    place: str, style: str | None, explode: bool | None, text: str, expected: Any
):
    schema: Any = {"type": "string"}
    if isinstance(expected, list):
        schema = COLORS
    elif isinstance(expected, dict):
        schema = RGB
    declared = {"in": place, "style": style, "explode": explode}
    given = {key: one for key, one in declared.items() if one is not None}
    assert value(text, schema, **given) == expected


def test_reserved_characters_may_stand_as_they_are():
    schema = {"type": "string"}
    text = "color=a+b/c?d:e"
    assert value(text, schema, **{"in": "query", "allowReserved": True}) == "a+b/c?d:e"
    assert value(text, schema, **{"in": "query"}) == "a b/c?d:e"


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({"type": "integer"}, "color=12", 12),
        ({"type": "boolean"}, "color=true", True),
        ({"enum": [1, "a"]}, "color=1", 1),
        ({"$ref": "#/$defs/number"}, "color=12", 12),
        ({"type": ["integer", "null"]}, "color=null", None),
        (NUMBERS, "color=1&color=2", [1, 2]),
        (NUMBERS, "color=1&color=x", [1, "x"]),
        ({"$ref": "#/$defs/numbers"}, "color=1&color=2", [1, 2]),
        ({"type": "array", "items": {"$ref": "#/$defs/number"}}, "color=1", [1]),
        ({"type": "array", "items": {"type": ["integer", "string"]}}, "color=1", ["1"]),
        ({"type": "array"}, "color=1", ["1"]),
        ({"anyOf": [{"type": "string"}, COLORS]}, "color=a", "a"),
        ({"anyOf": [{"type": "string"}, COLORS]}, "color=a&color=b", ["a", "b"]),
        ({"oneOf": [{"type": "integer"}, NUMBERS]}, "color=1&color=2", [1, 2]),
        ({"oneOf": [{"const": "all"}, NUMBERS]}, "color=1", [1]),
        ({"oneOf": [{"const": "all"}, NUMBERS]}, "color=all", "all"),
        ({"oneOf": [{"const": "all"}, NUMBERS]}, "color=none", "none"),
        ({}, "color=12", "12"),
    ],
)
def test_a_value_is_what_the_schema_takes(schema: Any, text: str, expected: Any):
    read = value(text, schema, **{"in": "query"})
    assert (read, type(read)) == (expected, type(expected))


def test_members_have_types_of_their_own():
    schema = {"type": "object", "additionalProperties": {"type": "boolean"}, **RGB}
    text = "color[R]=1&color[G]=x&color[other]=true"
    read = value(text, schema | {"type": "object"}, **{"in": "query", "style": "deepObject"})
    assert read == {"R": 1, "G": "x", "other": True}


def faults(
    read: CallParameters, query: str = "", **given: Any
) -> list[tuple[str | None, str, str]]:
    with pytest.raises(ParametersInvalidError) as caught:
        read.read(head(query, **given))
    return [(one.parameter, one.pointer, one.detail) for one in caught.value.violations]


def test_what_nothing_is_named_by_is_told_once_for_each_name():
    read = parameters({"name": "color", "in": "query", "style": "deepObject"}, color=RGB)
    found = faults(read, "x=1&x=2&color=1&color[a][b]=2&color[]=1&=3&%FF=1")
    names = ["x", "color", "color[a][b]", "color[]", "", "\ufffd"]
    assert found == [(name, "", "is no parameter of this operation") for name in names]


def test_what_is_required_and_missing_is_told():
    read = parameters(
        {"name": "X-Color", "in": "header", "argument": "color"},
        {"name": "size", "in": "query"},
        color={"type": "string"},
        size={"type": "string"},
        required=("color",),
    )
    assert faults(read) == [("X-Color", "", "is required")]
    assert read.read(head(headers={"x-color": ["a"]})) == {"color": "a"}


@pytest.mark.parametrize(
    ("declared", "schema", "text", "told"),
    [
        ({"in": "query"}, {"type": "string"}, "color=a&color=b", "is given 2 times: expected it"),
        ({"in": "query", "explode": False}, COLORS, "color=a&color=b", "is given 2 times"),
        ({"in": "query", "style": "deepObject"}, RGB, "color[R]=1&color[R]=2", "'R' twice"),
        ({"in": "query", "explode": False}, RGB, "color=R,1,G", "a value after each name"),
        ({"in": "query"}, {"type": "string"}, "color=%FF", "is not UTF-8"),
        ({"in": "path", "style": "label"}, {"type": "string"}, "a", "the style label: .value"),
        ({"in": "path", "style": "matrix"}, {"type": "string"}, ";x=a", ";color=value"),
        ({"in": "path", "style": "matrix", "explode": True}, COLORS, ";x=a", "for each item"),
        ({"in": "path", "style": "matrix", "explode": True}, RGB, "R=1", ";name=value"),
        ({"in": "path", "explode": True}, RGB, "R", "name=value"),
    ],
)
def test_what_is_not_written_in_its_style_is_told(
    declared: dict[str, Any], schema: Any, text: str, told: str
):
    with pytest.raises(ParametersInvalidError) as caught:
        value(text, schema, **declared)
    (violation,) = caught.value.violations
    assert violation.parameter == "color"
    assert told in violation.detail


def test_a_repeated_header_is_one_list_and_no_single_value():
    lines = {"color": ["a, b", "c"]}
    several = parameters({"name": "Color", "in": "header", "argument": "color"}, color=COLORS)
    assert several.read(head(headers=lines)) == {"color": ["a", "b", "c"]}
    one = parameters({"name": "Color", "in": "header", "argument": "color"}, color={})
    assert faults(one, headers=lines)[0][2].startswith("is given 2 times")


def test_what_the_schema_says_points_to_the_parameter():
    slashed: dict[str, Any] = {"a/b": {}}
    read = parameters(
        {"name": "X-Color", "in": "header", "argument": "a/b"},
        {"name": "n", "in": "query"},
        n=NUMBERS,
        **slashed,
    )
    error = ArgumentsInvalidError([Violation("/a~1b", "is bad"), Violation("/n/1", "is bad")])
    assert isinstance(read.pointed(error), ParametersInvalidError)
    assert str(read.pointed(error)) == "X-Color: is bad; n: /1: is bad"
    mixed = read.pointed(ArgumentsInvalidError([*error.violations, Violation("/body", "is bad")]))
    assert type(mixed) is ArgumentsInvalidError
    assert mixed.violations[2] == Violation("/body", "is bad")


@given(query=st.text(), path=st.text(min_size=1), lines=st.lists(st.text(), max_size=3))
def test_whatever_is_given_is_read_or_refused(query: str, path: str, lines: list[str]):
    read = parameters(
        {"name": "list", "in": "path", "style": "label", "explode": True},
        {"name": "deep", "in": "query", "style": "deepObject"},
        {"name": "n", "in": "query"},
        {"name": "H", "in": "header", "explode": True},
        {"name": "c", "in": "cookie", "explode": False},
        list=COLORS,
        deep=RGB,
        n={"oneOf": [{"type": "integer"}, NUMBERS]},
        H=RGB,
        c=RGB,
    )
    given = head(query, headers={"h": lines, "cookie": lines}, list=path)
    with contextlib.suppress(ParametersInvalidError):
        assert set(read.read(given)) <= {"list", "deep", "n", "H", "c"}
