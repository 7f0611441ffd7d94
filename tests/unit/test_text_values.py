"""A text is what its schema makes of it."""

from typing import Any

import pytest

from asynctasks.errors import ArgumentsInvalidError, OperationsFileError, SchemaInvalidError
from asynctasks.json_values import WrittenNumber
from asynctasks.operations.operation import Operation
from asynctasks.operations.operations_file import parse_operations
from asynctasks.operations.text_values import TextReader
from asynctestkit.heads import head

DEFINITIONS: dict[str, Any] = {
    "id": {"type": "integer", "minimum": 1},
    "outer": {"$ref": "#/$defs/id"},
    "itself": {"$ref": "#/$defs/itself"},
}


def read(schema: Any, text: str) -> Any:
    arguments = {
        "type": "object",
        "required": ["other"],
        "$defs": DEFINITIONS,
        "properties": {"a": schema, "other": {"type": "boolean"}},
    }
    return TextReader(schema, arguments, at=("properties", "a")).read(text)


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({"type": "integer"}, "12", 12),
        ({"type": "integer", "maximum": 5}, "12", 12),
        ({"type": "number"}, "0.5", 0.5),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "false", False),
        ({"type": "boolean"}, "True", "True"),
        ({"type": "boolean"}, "1", "1"),
        ({"type": ["integer", "null"]}, "12", 12),
        ({"type": ["integer", "null"]}, "null", None),
        ({"type": ["string", "integer"]}, "12", "12"),
        ({"type": ["string", "null"]}, "null", "null"),
        ({}, "12", "12"),
        (True, "true", "true"),
        ({"$ref": "#/$defs/id"}, "12", 12),
        ({"$ref": "#/$defs/outer"}, "12", 12),
        ({"$ref": "#/properties/other"}, "true", True),
        ({"enum": [1, 2, "x"]}, "1", 1),
        ({"enum": [1, 2, "x"]}, "x", "x"),
        ({"enum": ["1", "2"]}, "1", "1"),
        ({"enum": ["1", 1]}, "1", "1"),
        ({"enum": [True, "a"]}, "true", True),
        ({"enum": ["a"]}, '"a"', '"a"'),
        ({"const": 7}, "7", 7),
        ({"const": "7"}, "7", "7"),
        ({"const": False}, "false", False),
        ({"anyOf": [{"type": "integer"}, {"const": "all"}]}, "12", 12),
        ({"anyOf": [{"type": "integer"}, {"const": "all"}]}, "all", "all"),
        ({"oneOf": [{"type": "boolean"}, {"type": "integer"}]}, "12", 12),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, "12", 12),
        ({"type": ["string", "array"]}, "[1]", "[1]"),
        ({"type": ["integer", "array"]}, "[1]", "[1]"),
    ],
)
def test_a_text_is_read_by_the_schema(schema: Any, text: str, expected: Any):
    value = read(schema, text)
    assert (value, type(value)) == (expected, type(expected))


def test_a_number_keeps_its_text():
    value = read({"type": "number"}, "1.50")
    assert isinstance(value, WrittenNumber)
    assert value.text == "1.50"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": ["object", "array"]},
        {"enum": [[1], {"a": 1}]},
        {"const": {}},
        {"anyOf": [{"type": "array"}, {"type": "object"}]},
        {"allOf": [{"type": ["array", "string"]}, {"type": ["array", "integer"]}]},
        {"type": "integer", "const": "a"},
        False,
    ],
)
def test_what_no_text_can_be_is_refused(schema: Any):
    with pytest.raises(SchemaInvalidError, match="which holds no array or object"):
        read(schema, "x")


def test_a_file_with_a_path_that_cannot_be_read_is_refused_by_its_line():
    text = """\
operations:
  a:
    route: POST /a/{ids}
    handler: a:b
    arguments:
      type: object
      properties:
        ids: {type: array, items: {type: array}}
"""
    with pytest.raises(OperationsFileError) as caught:
        parse_operations(text, name="ops.yaml")
    assert str(caught.value).startswith("ops.yaml:8: operations.a.arguments.properties.ids: ")


def test_what_does_not_fit_is_refused_by_the_schema_in_its_words():
    operation = Operation.model_validate(
        {
            "name": "a",
            "route": "POST /a/{id}",
            "handler": "a:b",
            "arguments": {
                "type": "object",
                "properties": {"id": {"type": "integer", "maximum": 5}},
            },
        }
    )
    for text, told in (("12", "maximum"), ("x", "integer")):
        with pytest.raises(ArgumentsInvalidError, match=told):
            operation.schema.check(operation.call_parameters.read(head(id=text)))
