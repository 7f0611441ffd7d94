"""What is no YAML, or no JSON, in an operations file is told by its line."""

from typing import Any

import pytest

from asynctasks.operations.operations_file import parse_operations
from asynctestkit.operations_texts import GOOD, fault_of, operation, schema

NO_OPERATIONS = "1: the file: expected `operations:` with at least one operation below it"


BROKEN = {
    "empty": ("", NO_OPERATIONS),
    "only a comment": ("# nothing\n", NO_OPERATIONS),
    "another name, and what is wrong elsewhere": (
        "operation: {}\nlimits: {a: {burst: 2}}\n",
        (
            "1: operation: unknown key; expected `operations`, `limits` or `callbacks`\n"
            f"ops.yaml:{NO_OPERATIONS}\n"
            "ops.yaml:2: limits.a: `burst` goes with a rate: expected `ratePerSecond`, too"
        ),
    ),
    "no mapping": ("- operations\n", NO_OPERATIONS),
    "no operation": ("operations: {}\n", NO_OPERATIONS),
    "operations is a list": ("operations: [a]\n", NO_OPERATIONS),
    "not YAML": (
        "operations:\n  a: b: c\n",
        "2: no YAML: mapping values are not allowed here",
    ),
    "a bracket left open": (
        "operations: [\n",
        "2: no YAML: expected the node content, but found '<stream end>'",
    ),
    "a tab": (
        "operations:\n\ta: 1\n",
        "2: no YAML: found character '\\t' that cannot start any token",
    ),
    "a control character": (
        "operations:\n  a: \x07\n",
        "2: no YAML: the character U+0007",
    ),
    "two documents": (GOOD + "---\n", "24: no YAML: but found another document"),
    "an unknown alias": (operation(queue="*q"), "5: no YAML: found undefined alias 'q'"),
    "a key twice": (
        operation() + "    route: POST /b\n",
        "5: 'route' stands here twice",
    ),
    "an operation twice": (
        operation() + "  a: {}\n",
        "5: 'a' stands here twice",
    ),
    "an alias that contains itself": (
        schema("properties: &p", "  a: *p"),
        "7: an alias that contains itself",
    ),
    "aliases that stand for gigabytes": (
        "a: &a0 [x, x]\n" + "".join(f"b{i}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(40)),
        "1: its aliases stand for too much",
    ),
    "deep nesting": (
        "operations:\n  a: " + "[" * 5_000 + "]" * 5_000,
        "2: nested more than 64 levels deep",
    ),
    "deep nesting by aliases": (
        "".join(f"a{i}: &a{i} [{f'*a{i - 1}' if i else 1}]\n" for i in range(100)),
        "1: nested more than 64 levels deep",
    ),
    "a key that is a number": (
        schema("properties:", "  1: {}"),
        '8: expected a key of text: write it in quotes, "1"',
    ),
    "a key that YAML reads as a boolean": (
        schema("properties:", "  true: {}"),
        '8: expected a key of text: write it in quotes, "true"',
    ),
    "a key that is a list": ("operations:\n  [a]: b\n", "2: expected a key of text"),
    "a Python object": (
        operation(summary="!!python/object/apply:os.getcwd []"),
        (
            "5: expected plain text, numbers, lists and keys, "
            "not tag:yaml.org,2002:python/object/apply:os.getcwd"
        ),
    ),
    "binary data": (
        schema("const: !!binary aGVsbG8="),
        "7: expected plain text, numbers, lists and keys, not tag:yaml.org,2002:binary",
    ),
    "a tag that does not fit": (
        operation(waitSeconds="!!int soon"),
        "5: cannot be read as int",
    ),
    "no finite number": (
        operation(waitSeconds=".inf"),
        "5: operations.a.waitSeconds: expected a finite number",
    ),
    "a number that JSON readers round": (
        schema("maximum: 18446744073709551616"),
        "7: operations.a.arguments.maximum: expected a number of 64 bits at most",
    ),
    "a number of more digits than Python reads": (
        operation(maxQueued="9" * 5_000),
        "5: operations.a.maxQueued: expected a number of 64 bits at most",
    ),
    "half a character": (
        operation(summary='"\\ud800"'),
        "5: expected whole characters, not one half of a surrogate pair",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_as_json_is_told_by_its_line(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"


def test_a_date_is_the_text_it_is_in_json():
    text = schema("properties: {b: {const: 2020-01-01}}")
    parse_operations(text, name="ops.yaml")["a"].schema.check({"b": "2020-01-01"})


def test_an_alias_may_repeat_a_schema():
    text = schema("properties:", "  b: &b {type: string}", "  c: *b")
    assert parse_operations(text, name="ops.yaml")["a"].arguments["properties"]["c"] == {
        "type": "string"
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("2026-01-01", "2026-01-01"),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("+5", 5),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("TRUE", True),
        ("false", False),
        ("~", None),
        ("Null", None),
        ("", None),
        ('"true"', "true"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
    ],
)
def test_plain_words_are_read_by_the_core_schema_of_yaml_1_2(written: str, read: Any):
    text = schema(f"x-it: {written}")
    value = parse_operations(text, name="ops.yaml")["a"].arguments["x-it"]
    assert (value, type(value)) == (read, type(read))


def test_keys_too_are_read_by_the_core_schema():
    text = schema("properties: {on: {}, n: {}, 12:30: {}}")
    arguments = parse_operations(text, name="ops.yaml")["a"].arguments
    assert list(arguments["properties"]) == ["on", "n", "12:30"]
