"""What is wrong with the schema of an operation's arguments, secrets among them."""

import contextlib
import socket

import pytest

from asynctasks.errors import OperationsFileError
from asynctasks.operations.operations_file import parse_operations
from asynctestkit.operations_texts import fault_of, operation, schema

SCHEMAS = {
    "arguments of no type": (
        operation(arguments="properties: {}"),
        ("5: operations.a.arguments: the arguments are one JSON object: expected `type: object`"),
    ),
    "arguments of another type": (
        operation(arguments="type: array"),
        ("5: operations.a.arguments: the arguments are one JSON object: expected `type: object`"),
    ),
    "unknown type": (
        schema("properties:", "  b:", "    type: text"),
        (
            "9: operations.a.arguments.properties.b.type: expected array, boolean, integer, "
            "null, number, object or string, or a list of them"
        ),
    ),
    "bad regular expression": (
        schema("properties:", "  b:", "    pattern: '('"),
        '9: operations.a.arguments.properties.b.pattern: "(" is not a "regex"',
    ),
    "bad keyword": (
        schema("properties:", "  b:", "    minLength: -1"),
        ("9: operations.a.arguments.properties.b.minLength: -1 is less than the minimum of 0"),
    ),
    "remote reference": (
        schema("properties:", "  b:", "    $ref: https://example.com/b.json"),
        (
            "9: operations.a.arguments.properties.b.$ref: 'https://example.com/b.json' leads "
            "nowhere; expected a place in this schema: #/$defs/name"
        ),
    ),
    "reference into a file": (
        schema("properties:", "  b:", "    $ref: file:///etc/passwd"),
        (
            "9: operations.a.arguments.properties.b.$ref: 'file:///etc/passwd' leads "
            "nowhere; expected a place in this schema: #/$defs/name"
        ),
    ),
    "dangling reference": (
        schema("properties:", "  b:", "    $ref: '#/$defs/c'"),
        (
            "9: operations.a.arguments.properties.b.$ref: '#/$defs/c' leads nowhere; "
            "expected a place in this schema: #/$defs/name"
        ),
    ),
}


@pytest.mark.parametrize(("text", "expected"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_that_cannot_be_checked_against_is_refused(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"


SECRETS = {
    "writeOnly arguments as a whole": (
        schema("writeOnly: true"),
        (
            "7: operations.a.arguments.writeOnly: the arguments as a whole cannot be "
            "writeOnly: mark its properties"
        ),
    ),
    "writeOnly below anyOf": (
        schema("anyOf:", "- properties:", "    b:", "      writeOnly: true"),
        (
            "10: operations.a.arguments.anyOf.0.properties.b.writeOnly: not supported below "
            "`anyOf`: mark a property of an object instead"
        ),
    ),
    "writeOnly below items": (
        schema("properties:", "  b:", "    items:", "      writeOnly: true"),
        (
            "10: operations.a.arguments.properties.b.items.writeOnly: not supported below "
            "`items`: mark a property of an object instead"
        ),
    ),
    "writeOnly below $defs": (
        schema("$defs:", "  b:", "    writeOnly: true"),
        (
            "9: operations.a.arguments.$defs.b.writeOnly: not supported below "
            "`$defs`: mark a property of an object instead"
        ),
    ),
    "writeOnly below additionalProperties": (
        schema("additionalProperties:", "  writeOnly: true"),
        (
            "8: operations.a.arguments.additionalProperties.writeOnly: not supported below "
            "`additionalProperties`: mark a property of an object instead"
        ),
    ),
    "writeOnly behind $ref": (
        schema("properties:", "  b: {writeOnly: true}", "  c:", "    $ref: '#/properties/b'"),
        (
            "10: operations.a.arguments.properties.c.$ref: next to writeOnly properties, "
            "expected a reference below #/$defs/"
        ),
    ),
    "writeOnly behind a schema that contains itself": (
        schema("properties:", "  b: {writeOnly: true}", "  c: {$ref: '#'}"),
        (
            "9: operations.a.arguments.properties.c.$ref: next to writeOnly properties, "
            "expected a reference below #/$defs/"
        ),
    ),
    "writeOnly that is no boolean": (
        schema("properties:", "  b:", "    writeOnly: 'yes'"),
        '9: operations.a.arguments.properties.b.writeOnly: "yes" is not of type "boolean"',
    ),
}


@pytest.mark.parametrize(("text", "expected"), SECRETS.values(), ids=SECRETS)
def test_a_secret_that_could_not_be_found_again_is_refused(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"


def test_a_property_may_be_called_as_a_keyword_is():
    text = schema(
        "properties:", "  default: {type: object, properties: {writeOnly: true}}", "  $ref: {}"
    )
    assert parse_operations(text, name="ops.yaml")["a"].schema.write_only == ()


def test_a_schema_never_makes_a_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        for line in (
            f"$ref: {url}",
            f"$schema: {url}",
            f"$defs: {{b: {{$schema: '{url}', $id: '{url}', $ref: c}}}}",
        ):
            with contextlib.suppress(OperationsFileError):
                parse_operations(schema(line), name="ops.yaml")
            with pytest.raises(BlockingIOError):
                listener.accept()
